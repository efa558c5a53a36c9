"""A run that was cut off and goes on ends as one that was not, to the last digit."""

import csv
import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from toy_world import run_here, start

from flexhook.errors import InputError
from flexhook.training.build import load_method
from flexhook.training.checkpoints import WholeCheckpoints, read_checkpoint
from flexhook.training.resume import go_on
from flexhook.training.run_folder import read_config

LONG = ["optim.epochs=4", "optim.milestones=[1,3]", "sampling.batch_size=2"]  # 10 steps per epoch


def loaded(path):
    """The network of a checkpoint and its configuration."""
    method, config = load_method(path)
    return method.network, config


def rows(run):
    """metrics.csv without the order of its columns."""
    with open(run / "metrics.csv", newline="") as stream:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(stream)]


def checkpoints(run):
    return sorted(p.name for p in (run / "checkpoints").iterdir())


def best(run):
    """Names and scores of the best checkpoints, as the last one remembers them."""
    states = read_checkpoint(run / "checkpoints/last.ckpt")["callbacks"]
    (state,) = [s for s in states.values() if "best_k_models" in s]
    return {path.rpartition("/")[2]: float(score) for path, score in state["best_k_models"].items()}


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """The uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    toy.run(folder, *LONG)
    return folder


def assert_same_end(run, whole):
    assert (run / "metrics.json").read_text() == (whole / "metrics.json").read_text()
    assert rows(run) == rows(whole)
    assert checkpoints(run) == checkpoints(whole)
    assert best(run) == best(whole)
    one, other = (read_checkpoint(f / "checkpoints/last.ckpt")["state_dict"] for f in (run, whole))
    assert all(torch.equal(one[k], other[k]) for k in other)


def test_learning_rate_and_order_change_with_the_epochs(whole):
    rates = [float(r["lr"]) for r in rows(whole) if "lr" in r]
    assert rates == pytest.approx([3e-3] * 10 + [1.5e-3] * 20 + [7.5e-4] * 10)
    losses = [r["train/loss"] for r in rows(whole) if "train/loss" in r]
    assert len(set(losses)) == 40


@pytest.mark.parametrize("workers", [0, 2])
def test_run_goes_on_in_another_folder(toy, whole, tmp_path, workers):
    toy.run(tmp_path / "first", *LONG, "optim.epochs=2", "test=false")
    toy.run(tmp_path / "second", *LONG, f"sampling.num_workers={workers}", f"ckpt_path={tmp_path}/first/checkpoints/last.ckpt")
    assert_same_end(tmp_path / "second", whole)


def run_alone(toy, run, *more):
    """A training in a fresh process: (exit status, output)."""
    with start(["train", *toy.overrides, *LONG, *more, f"hydra.run.dir={run}"], run.parent) as process:
        said = process.communicate(timeout=600)[0]
    return process.returncode, said


@pytest.fixture(scope="module")
def whole_alone(toy, tmp_path_factory):
    """The uninterrupted run, made as those that are killed."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    status, said = run_alone(toy, folder)
    assert status == 0, said
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_run_killed_within_an_epoch_goes_on(toy, whole_alone, tmp_path, workers):
    run, more = tmp_path / "run", f"sampling.num_workers={workers}"
    status, said = run_alone(toy, run, more, "+callbacks.kill={_target_: toy_world.KillAt, step: 25}")
    assert status == -9, said
    assert len(rows(run)) > 20
    assert not (run / "metrics.json").exists()
    status, said = run_alone(toy, run, more, f"ckpt_path={run}/checkpoints/last.ckpt")
    assert status == 0, said
    assert_same_end(run, whole_alone)


def test_finished_training_is_scored_from_its_last_checkpoint(toy, whole, tmp_path):
    """As after a SIGKILL during scoring."""
    toy.run(tmp_path / "run", *LONG, "test=false")
    toy.run(tmp_path / "run", *LONG, f"ckpt_path={tmp_path}/run/checkpoints/last.ckpt")
    assert_same_end(tmp_path / "run", whole)


def test_best_checkpoints_that_are_gone_are_out_of_the_choice(toy, tmp_path):
    toy.run(tmp_path / "first", "test=false")
    lone = tmp_path / "elsewhere"
    lone.mkdir()
    (lone / "lone.ckpt").write_bytes((tmp_path / "first/checkpoints/last.ckpt").read_bytes())
    status, said = toy.train(tmp_path / "second", "optim.epochs=3", f"ckpt_path={lone}/lone.ckpt")
    assert status == 0
    assert "out of the choice" in said
    assert [name[:8] for name in checkpoints(tmp_path / "second")] == ["epoch002", "last.ckp"]


def test_run_does_not_begin_in_a_folder_that_holds_one(toy, whole):
    before = (whole / "config.yaml").read_text()
    status, said = toy.train(whole, "seed=1")
    assert status == 2
    assert "holds checkpoints of a run" in said
    assert "ckpt_path=" in said
    assert (whole / "config.yaml").read_text() == before


def test_results_of_an_earlier_attempt_are_not_taken_for_this_ones(toy, tmp_path):
    run = tmp_path / "run"
    toy.run(run, "optim.epochs=1")
    status, _ = toy.train(run, f"ckpt_path={run}/checkpoints/last.ckpt", "tracker.root=nowhere")
    assert status == 2
    assert not (run / "metrics.json").exists()
    assert not (run / "expressions.csv").exists()


@pytest.mark.parametrize(("change", "words"), [
    ("num_frames=3", "box_embedding"),  # other shapes
    ("model.hook.num_reference_points=0", "is left over"),  # fewer parts
])
def test_checkpoint_of_another_model_is_refused(toy, whole, tmp_path, change, words):
    status, said = toy.train(tmp_path / "run", change, f"ckpt_path={whole}/checkpoints/last.ckpt")
    assert status == 2
    assert "last.ckpt: the checkpoint does not fit the model" in said
    assert words in said
    assert "Traceback" not in said


def test_checkpoint_cut_off_while_written_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"step": torch.tensor(1)}, path)

    class Full:
        def __reduce__(self):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"cannot be written.*No space.*MB are free.*save_top_k"):
        WholeCheckpoints().save_checkpoint({"step": torch.tensor(2), "more": Full()}, path)
    assert torch.load(path, weights_only=True) == {"step": torch.tensor(1)}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("content", "words"), [
    (b"", "does not load"),
    (b"PK\x03\x04 half of it", "does not load"),
    (b"epoch,loss\n", "does not load"),
    (json.dumps({}).encode(), "does not load"),
])
def test_broken_checkpoint_is_one_message(tmp_path, content, words):
    path = tmp_path / "broken.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_of_something_else_is_no_checkpoint(tmp_path):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="does not exist"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_what_is_learned_for_training_only_goes_on_and_is_left_out_of_scoring(toy, tmp_path):
    aligned = ["alignment=cosine", "optim.epochs=2", "test=false"]
    toy.run(tmp_path / "whole", *aligned)
    toy.run(tmp_path / "first", *aligned, "optim.epochs=1")
    last = tmp_path / "first/checkpoints/last.ckpt"
    toy.run(tmp_path / "second", *aligned, f"ckpt_path={last}")
    one, other = (read_checkpoint(tmp_path / f / "checkpoints/last.ckpt")["state_dict"] for f in ("whole", "second"))
    assert "alignment.scale" in one and one.keys() == other.keys()
    assert all(torch.equal(one[k], other[k]) for k in one)
    model, _ = loaded(last)
    assert not any("alignment" in name for name in model.state_dict())
    status, said = toy.train(tmp_path / "third", "optim.epochs=2", "test=false", f"ckpt_path={last}")
    assert status != 0 and "alignment." in said and "left over" in said


def test_going_on_with_another_model_setting_is_told(toy, tmp_path):
    toy.run(tmp_path / "first", "optim.epochs=1", "test=false")
    again = ["optim.epochs=2", "test=false", f"ckpt_path={tmp_path}/first/checkpoints/last.ckpt"]
    _, said = toy.train(tmp_path / "same", *again)
    assert "trained with another" not in said
    _, said = toy.train(tmp_path / "other", *again, "grid=[8,24]")
    assert "trained with another model.grid: [16, 48], now [8, 24]" in said


def test_runs_of_a_sweep_that_differ_behind_training_train_once(toy, tmp_path):
    """The second takes the first one's checkpoints over and ends as if it had trained itself."""
    short = ["optim.epochs=2", "optim.milestones=[1]"]
    alone = toy.run(tmp_path / "alone", *short, "scoring.exit_scale=1")
    status, said = run_here(["train", "-m", *toy.overrides, *short, "scoring.exit_scale=null,1", "seed=0",
                             f"hydra.sweep.dir={tmp_path}/sweep"], tmp_path)
    assert status == 0, said
    assert said.count("has trained the same model") == 1
    assert said.count("epoch 2/2") == 1
    runs = {read_config(folder).scoring.exit_scale: folder for folder in (tmp_path / "sweep").glob("*/seed0")}
    whole, early = runs[None], runs[1]
    assert json.loads((early / "metrics.json").read_text()) == alone
    assert rows(early)[:-1] == rows(tmp_path / "alone")[:-1]
    assert checkpoints(early) == checkpoints(whole)
    carried = read_checkpoint(early / "checkpoints/last.ckpt")["flexhook"]["config"]
    assert carried["scoring"]["exit_scale"] == 1 and carried["run_dir"] == str(early)
    costs = [json.loads((run / "meta.json").read_text())["costs"] for run in (whole, early)]
    assert costs[0]["seconds_per_epoch"] == costs[1]["seconds_per_epoch"]


def beside(other, name):
    """The configuration of a run of the same sweep that scores otherwise."""
    folder = other.parents[1] / name
    cfg = OmegaConf.create((other / "config.yaml").read_text().replace(str(other), str(folder)))
    cfg.scoring.exit_scale = 1
    return cfg


@pytest.mark.parametrize("damage", ["none", "cut", "missing", "meta", "versions"])
def test_a_damaged_or_foreign_run_is_not_taken_over(toy, tmp_path, monkeypatch, damage):
    short = ["optim.epochs=1", "optim.milestones=[1]", "test=false", "scoring.exit_scale=null"]
    sweep = ["train", "-m", *toy.overrides, *short, "seed=0", f"hydra.sweep.dir={tmp_path}/sweep"]
    assert run_here(sweep, tmp_path)[0] == 0
    (other,) = (tmp_path / "sweep").glob("*/seed0")
    best = next((other / "checkpoints").glob("epoch000*"))
    if damage == "cut":
        best.write_bytes(best.read_bytes()[:1000])
    elif damage == "missing":
        best.unlink()
    elif damage == "meta":
        (other / "meta.json").write_text("[]")
    elif damage == "versions":
        meta = json.loads((other / "meta.json").read_text())
        (other / "meta.json").write_text(json.dumps(meta | {"versions": meta["versions"] | {"torch": "1.0"}}))
    cfg = beside(other, "early/seed0")
    monkeypatch.chdir(tmp_path)
    assert not go_on(Path(cfg.run_dir), cfg)
    assert cfg.ckpt_path == (str(other / "checkpoints/last.ckpt") if damage == "none" else None)


def test_runs_of_another_number_of_processes_or_layout_are_not_alike(toy, tmp_path, monkeypatch):
    short = ["optim.epochs=1", "optim.milestones=[1]", "test=false", "scoring.exit_scale=null"]
    assert run_here(["train", "-m", *toy.overrides, *short, "seed=0", f"hydra.sweep.dir={tmp_path}/sweep"], tmp_path)[0] == 0
    (other,) = (tmp_path / "sweep").glob("*/seed0")
    monkeypatch.chdir(tmp_path)
    for name, devices, found in (("early/seed0", None, True), ("two/seed0", 2, False), ("early/0", None, False)):
        cfg = beside(other, name)
        cfg.trainer.devices = devices or cfg.trainer.devices
        assert not go_on(Path(cfg.run_dir), cfg)
        assert (cfg.ckpt_path == str(other / "checkpoints/last.ckpt")) == found


def test_a_run_resumes_from_a_checkpoint_named_in_its_own_folder(toy, tmp_path, monkeypatch):
    toy.run(tmp_path / "first", *LONG, "optim.epochs=1", "test=false")
    status, said = run_here(["train", *toy.overrides, *LONG, "optim.epochs=2", "test=false", "ckpt_path=last.ckpt",
                             f"hydra.run.dir={tmp_path}/second"], tmp_path / "first/checkpoints")
    assert status == 0, said


def test_runs_that_train_differently_train_apart(toy, tmp_path):
    short = ["optim.epochs=1", "optim.milestones=[1]", "test=false"]
    status, said = run_here(["train", "-m", *toy.overrides, *short, "optim.weight_decay=0.1,0.2", "seed=0",
                             f"hydra.sweep.dir={tmp_path}/sweep"], tmp_path)
    assert status == 0, said
    assert "has trained the same model" not in said
    assert said.count("epoch 1/1") == 2


def test_a_warm_up_beyond_an_epoch_rises_to_what_the_schedule_makes_it(toy, tmp_path):
    toy.run(tmp_path / "run", *LONG, "optim.epochs=3", "optim.milestones=[1]", "optim.warmup_steps=15", "test=false")
    rates = [float(r["lr"]) for r in rows(tmp_path / "run") if "lr" in r]
    rising = [3e-3 * k / 15 for k in range(1, 11)] + [1.5e-3 * k / 15 for k in range(11, 16)]  # 10 steps per epoch
    assert rates == pytest.approx(rising + [1.5e-3] * 15)
