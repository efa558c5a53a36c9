"""Precision, accumulation, clipping, freezing, choice of the checkpoint, protocol and loggers: all from the configuration."""

import csv
import json

import pytest
import torch
from lightning.pytorch.callbacks import Callback, Timer
from test_reproducible import modules
from toy_world import run_here

from flexhook.methods.two_stage.module import parameter_groups

BATCHES = ["sampling=windows", "sampling.expressions=4", "sampling.positives=2", "sampling.noisy=false", "perturbation=none",
           "++visual.batch_norm=false", "++visual.dropout=0", "++text.dropout=0", "optim.epochs=1", "test=false",
           "optim.optimizer._target_=torch.optim.SGD", "~optim.optimizer.eps", "~optim.optimizer.betas",
           "optim.optimizer.lr=0.5", "optim.weight_decay=0"]  # fmt: skip


def weights(run):
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def rows(run):
    with open(run / "metrics.csv", newline="") as stream:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(stream)]


def test_accumulated_batches_are_one_larger_batch(toy, tmp_path):
    toy.run(tmp_path / "large", *BATCHES, "sampling.batch_size=6", "+trainer.limit_train_batches=1")
    toy.run(tmp_path / "small", *BATCHES, "sampling.batch_size=3", "+trainer.limit_train_batches=2",
            "trainer.accumulate_grad_batches=2")
    large, small = weights(tmp_path / "large"), weights(tmp_path / "small")
    for name in large:
        torch.testing.assert_close(large[name], small[name], rtol=0, atol=1e-6)


def test_gradients_are_clipped_to_the_configured_norm(toy, tmp_path):
    for name, clip in (("still", "optim.optimizer.lr=0"), ("clipped", "trainer.gradient_clip_val=0.01"),
                       ("free", "trainer.gradient_clip_val=null")):
        toy.run(tmp_path / name, *BATCHES, "+trainer.limit_train_batches=1", clip)
    start = weights(tmp_path / "still")

    def moved(name):
        return sum(((v - start[k]).double() ** 2).sum() for k, v in weights(tmp_path / name).items()).item() ** 0.5

    assert moved("clipped") == pytest.approx(0.5 * 0.01, rel=1e-3)
    assert moved("free") > 0.02


def test_bf16_with_a_fused_optimiser_is_clipped_too(toy, tmp_path):
    common = ["optim.epochs=1", "test=false", "+trainer.limit_train_batches=1", "trainer.precision=bf16-mixed", "seed=3",
              "+optim.optimizer.fused=true", "optim.optimizer.eps=1.0", "optim.optimizer.lr=1.0", "optim.weight_decay=0"]
    toy.run(tmp_path / "still", *common, "trainer.gradient_clip_val=1.0e-12")
    moved = {}
    for clip in (1e-3, 2e-3):
        toy.run(tmp_path / str(clip), *common, f"trainer.gradient_clip_val={clip}")
        start, end = weights(tmp_path / "still"), weights(tmp_path / str(clip))
        moved[clip] = sum(((v - start[k]).double() ** 2).sum() for k, v in end.items()).item() ** 0.5
    assert moved[1e-3] == pytest.approx(1e-3, rel=0.05)  # with eps 1 a step of Adam is the gradient
    assert moved[2e-3] == pytest.approx(2e-3, rel=0.05)


def test_bf16_trains_in_autocast_and_keeps_float32_weights(toy, tmp_path):
    plain = toy.run(tmp_path / "plain", "optim.epochs=1")
    mixed = toy.run(tmp_path / "mixed", "optim.epochs=1", "trainer.precision=bf16-mixed")
    assert all(v.dtype in (torch.float32, torch.int64) for v in weights(tmp_path / "mixed").values())
    one, two = ([r["train/loss"] for r in rows(tmp_path / n) if "train/loss" in r] for n in ("plain", "mixed"))
    assert one[0] != two[0]
    assert one[0] == pytest.approx(two[0], rel=0.02)
    assert mixed.keys() == plain.keys()


def test_frozen_parts_do_not_move_and_others_do(toy, tmp_path):
    toy.run(tmp_path / "run", "freeze=[text]", "protocol.freeze_mode=train", "test=false")
    module, _ = modules(toy)
    before, after = module.state_dict(), weights(tmp_path / "run")
    assert before.keys() == after.keys()
    moved = {k for k, v in after.items() if not torch.equal(v, before[k])}
    assert not [k for k in moved if k.startswith("model.text.")]
    assert {"model.text_position", "model.visual.stages.0.weight"} <= moved


def test_weight_decay_spares_vectors_and_position_embeddings(toy):
    module, _ = modules(toy)
    decayed, spared = parameter_groups(module.model, 0.1)
    names = {id(p): n for n, p in module.model.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim > 1 and "position" not in names[id(p)] for p in decayed["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)
    assert "text_position" in {names[id(p)] for p in spared["params"]}


def test_hota_on_the_validation_videos_chooses_the_checkpoint(toy, tmp_path):
    """With tracker boxes, for each of the best checkpoints; the test videos have no part in it."""
    splits = ["data.reader.splits.val=[v]", "data.reader.splits.test=[u]"]
    status, said = toy.train(tmp_path / "run", *splits, "select_by=hota", "optim.epochs=3")
    assert status == 0, said
    lines = [line for line in said.splitlines() if line.startswith("validation HOTA ")]
    assert len(lines) == 3
    hota = {line.rpartition(": ")[2]: float(line.split()[2]) for line in lines}
    chosen = next(line for line in said.splitlines() if line.startswith("best checkpoint: ")).rpartition("/")[2]
    assert hota[chosen] == max(hota.values())
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["val/HOTA"] == pytest.approx(max(hota.values()), abs=0.005)
    assert f"f1_{metrics['val/F1']:.2f}" in chosen
    assert not (tmp_path / "run/.select").exists()
    ckpt = tmp_path / "run/checkpoints" / chosen
    status, said = run_here(["score", f"ckpt={ckpt}", "split=val", f"out={tmp_path}/val"], tmp_path)
    assert status == 0, said
    status, said = run_here(["evaluate", f"run={tmp_path}/val", "split=val"], tmp_path)
    assert status == 0, said
    again = json.loads((tmp_path / "val/metrics_val.json").read_text())
    assert again["val/HOTA"] == pytest.approx(metrics["val/HOTA"], abs=1e-9)


def test_published_protocol_is_followed_and_said(toy, tmp_path):
    splits = ["data.reader.splits.val=[w]", "data.reader.splits.test=[u,v]"]
    status, said = toy.train(tmp_path / "run", *splits, "protocol=published", "freeze=[visual]")
    assert status == 0, said
    assert "5 validation windows of 2 videos" in said  # the test videos
    for remark in ("Validated on the test videos with their true boxes", "last observation was never judged",
                   "Frozen encoders stayed in training mode"):
        assert remark in said
    meta = json.loads((tmp_path / "run/meta.json").read_text())
    assert meta["protocol"] == "published"
    assert len(meta["remarks"]) == 3
    state = weights(tmp_path / "run")  # batch statistics moved, so that they have to be in the checkpoint
    assert state["model.visual.norms.0.num_batches_tracked"] > 0
    published = json.loads((tmp_path / "run/metrics.json").read_text())
    status, said = run_here(["evaluate", f"run={tmp_path}/run", "protocol=default", f"out={tmp_path}/whole"], tmp_path)
    assert status == 0, said
    default = json.loads((tmp_path / "whole/metrics.json").read_text())
    assert published["accept_all/DetRe"] < default["accept_all/DetRe"] == pytest.approx(100)
    assert published["oracle/DetRe"] < default["oracle/DetRe"]


class TimeIsOver(Callback):
    """Lets the time limit be reached in a step."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.global_step == self.step:
            next(c for c in trainer.callbacks if isinstance(c, Timer))._offset = 1e9


def test_time_limit_ends_a_training_within_an_epoch_as_at_its_end(toy, tmp_path):
    """The last state is validated and kept, the best one tested; learning rates follow the epochs until then."""
    epoch = steps(toy)
    assert epoch > 3
    metrics = toy.run(
        tmp_path / "run", "optim.epochs=50", "optim.milestones=[1]", "trainer.max_time='00:05:00:00'",
        "+callbacks.over._target_=test_trainer_options.TimeIsOver", f"+callbacks.over.step={epoch + 2}",
    )  # fmt: skip
    last = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == epoch + 3
    logged = rows(tmp_path / "run")
    validated = [row["val/F1"] for row in logged if "val/F1" in row]
    assert len(validated) == 2
    assert last["flexhook"]["metrics"]["val/F1"] == pytest.approx(validated[-1])
    assert metrics["val/F1"] == pytest.approx(max(validated)) and metrics["test/HOTA"] >= 0
    rates = [row["lr"] for row in logged if "lr" in row]
    assert rates == pytest.approx([3e-3] * epoch + [1.5e-3] * 3)


def steps(toy):
    """Steps of an epoch."""
    return len(modules(toy)[1].train_dataloader())


def test_run_without_validation_videos_tests_its_last_checkpoint(toy, tmp_path):
    status, said = toy.train(tmp_path / "run", "data.reader.splits.val=[]")
    assert status == 0, said
    assert "last.ckpt" in next(line for line in said.splitlines() if line.startswith("best checkpoint: "))
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert "test/HOTA" in metrics
    assert not [k for k in metrics if k.startswith("val/")]


def test_run_without_test_videos_only_trains(toy, tmp_path):
    metrics = toy.run(tmp_path / "run", "data.reader.splits.test=[]")
    assert set(metrics) == {"val/F1", "val/precision", "val/recall"}
    assert not (tmp_path / "run/scores").exists()


def test_tensorboard_log_lies_in_the_run_folder(toy, tmp_path):
    pytest.importorskip("tensorboard")
    toy.run(tmp_path / "run", "logger=tensorboard", "optim.epochs=1")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = {path.parent for path in (tmp_path / "run/tensorboard").rglob("events.*")}
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"train/loss", "val/F1", "lr"} <= set(events.Tags()["scalars"])
    assert (tmp_path / "run/metrics.csv").is_file()


@pytest.mark.slow
def test_wandb_log_lies_in_the_run_folder_without_network_or_account(toy, tmp_path):
    toy.run(tmp_path / "run", "logger=wandb", "optim.epochs=1")
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    assert (tmp_path / "run/metrics.csv").is_file()
