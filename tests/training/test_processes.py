"""Several processes of one job: they see what one process sees, and none is left alone."""

import csv
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from test_reproducible import modules
from toy_world import start

from flexhook.errors import ConfigError
from flexhook.training.epoch_sampler import EpochBatchSampler
from flexhook.training.ranks import num_processes

STILL = ["++visual.batch_norm=false", "++visual.dropout=0", "++text.dropout=0", "perturbation=none"]


def finish(process, limit=600):
    """(exit status, output) of a started command."""
    said = process.communicate(timeout=limit)[0]
    return process.returncode, said


def validation(run):
    """The validation scores of a run of one epoch."""
    with open(run / "metrics.csv", newline="") as stream:
        (row,) = (r for r in csv.DictReader(stream) if r["val/F1"])
    return {k: float(v) for k, v in row.items() if k.startswith("val/")}


def children(pid):
    """Processes that a process has started, and theirs."""
    own = [int(k) for t in Path(f"/proc/{pid}/task").iterdir() for k in (t / "children").read_text().split()]
    return own + [k for child in own for k in children(child)]


def gone(pid):
    """Ended, or only waiting for somebody to ask how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
def test_metrics_do_not_depend_on_the_number_of_processes(toy, tmp_path):
    """Fifteen validation windows and three videos for two processes; a learning rate of 0 leaves the weights equal."""
    still = [*STILL, "optim.optimizer.lr=0", "optim.epochs=1", "sampling.val_group=1", "sampling.val_stride=1"]
    with start(["train", *toy.overrides, *still, "trainer=ddp", f"hydra.run.dir={tmp_path}/two"], tmp_path) as process:
        status, said = finish(process)
    assert status == 0, said
    toy.run(tmp_path / "one", *still)
    for name in ("metrics.json", "expressions.csv", "scores/expressions.json"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text(), name
    for video in "uvw":
        one, two = ((tmp_path / n / f"scores/{video}.npz").read_bytes() for n in ("one", "two"))
        assert one == two
    one, two = (validation(tmp_path / name) for name in ("one", "two"))
    assert one == pytest.approx(two, rel=1e-6)
    for words in ("2 processes", "epoch 1/1", "20 training items of 3 videos, 15 validation windows of 3 videos", "results: "):
        assert said.count(words) == 1, words
    assert "epoch 1/1" not in (tmp_path / "two/logs/rank1.txt").read_text()


def first_items(toy, *more):
    """The items of the first step of two processes with a batch of one."""
    _, data = modules(toy, *more)
    order = next(iter(EpochBatchSampler(len(data.train_items), 2, data.seed)))
    return [data.train_items[at] for at in order]


@pytest.mark.slow
@pytest.mark.parametrize(("sampling", "items"), [("windows", 3), ("clips", 1)])
def test_two_processes_take_the_step_of_one_with_twice_the_batch(toy, tmp_path, sampling, items):
    """Also: a process without validation windows does not keep the other one waiting."""
    step = [*STILL, "seed=2", f"sampling={sampling}", "sampling.expressions=4", "sampling.positives=2", "sampling.noisy=false",
            "+trainer.limit_train_batches=1", "optim.epochs=1", "optim.optimizer._target_=torch.optim.SGD",
            "~optim.optimizer.eps", "~optim.optimizer.betas", "optim.optimizer.lr=0.5", "data.reader.splits.val=[w]",
            "data.reader.splits.test=[w]"]
    if sampling == "clips":
        assert len({len(clip.frame) for clip in first_items(toy, *step)}) == 2  # one process has more windows than the other
    two = [f"sampling.batch_size={items}", "trainer=ddp", f"hydra.run.dir={tmp_path}/two"]
    with start(["train", *toy.overrides, *step, *two], tmp_path) as process:
        status, said = finish(process)
    assert status == 0, said
    toy.run(tmp_path / "one", *step, f"sampling.batch_size={2 * items}")
    toy.run(tmp_path / "start", *step, f"sampling.batch_size={2 * items}", "optim.optimizer.lr=0")
    one, two, start_ = (
        torch.load(tmp_path / n / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for n in ("one", "two", "start")
    )
    assert max((one[k] - start_[k]).abs().max().item() for k in one) > 1e-3
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_sweep_goes_on_after_a_job_whose_process_failed(toy, tmp_path):
    argv = ["train", "-m", *toy.overrides, "trainer=ddp", "seed=1,2,3", "optim.epochs=1", "hydra.sweep.dir=sweep",
            "hydra.sweep.subdir=${seed}", "+callbacks.fail={_target_: toy_world.FailFor, seed: 2}"]
    with start(argv, tmp_path) as process:
        status, said = finish(process)
    assert status == 2, said
    done = {k: (tmp_path / f"sweep/{k}/metrics.json").is_file() for k in (1, 2, 3)}
    assert done == {1: True, 2: False, 3: True}
    ending = said.strip()[said.strip().rindex("jobs that failed:"):].splitlines()
    assert len(ending) == 2
    assert "seed=2" in ending[1]
    assert "process 1 of 2" in ending[1]
    assert "this process had to fail" in (tmp_path / "sweep/2/logs/rank1.txt").read_text()
    one, three = ((tmp_path / f"sweep/{k}/metrics.csv").read_text() for k in (1, 3))
    assert one != three


@pytest.mark.slow
def test_mistake_that_processes_find_is_one_message(toy, tmp_path):
    broken = tmp_path / "data"
    shutil.copytree(toy.root, broken)
    image = broken / "KITTI/training/image_02/a/000003.png"
    image.write_bytes(image.read_bytes()[:60])
    argv = ["train", *toy.overrides, f"data.root={broken}", "trainer=ddp", "sampling.num_workers=1",
            f"hydra.run.dir={tmp_path}/run"]
    with start(argv, tmp_path) as process:
        status, said = finish(process)
    assert status == 2, said
    assert said.count("000003.png") == 1
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("flexhook train: ")


@pytest.mark.slow
def test_killed_command_leaves_no_process_behind(toy, tmp_path):
    argv = ["train", *toy.overrides, "trainer=ddp", "optim.epochs=1000", "sampling.num_workers=1",
            f"hydra.run.dir={tmp_path}/run"]
    with start(argv, tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 2/"):
                break
        started = children(process.pid)
        assert len(started) >= 4  # two ranks with a loading process each
        os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not all(map(gone, started)):
            time.sleep(0.2)
        assert [pid for pid in started if not gone(pid)] == []


@pytest.mark.parametrize("points", [10, 0])
@pytest.mark.parametrize("freeze", ["[]", "[visual]", "[text]", "[visual,text]"])
def test_every_trained_parameter_has_a_part_in_the_loss(toy, points, freeze):
    """DDP waits for a gradient of each; toy encoders here, the packaged ones below."""
    module, data = modules(toy, f"freeze={freeze}", f"model.hook.num_reference_points={points}")
    assert_all_used(module, data)


@pytest.mark.parametrize("points", [10, 0])
def test_packaged_encoders_have_no_unused_parameter(toy, points):
    module, data = modules(
        toy, "visual._target_=flexhook.encoders.packaged.efficientnet_lite0", "text._target_=flexhook.encoders.packaged.minilm",
        f"model.hook.num_reference_points={points}", "image_size=[64,192]", "sampling.max_tracks=1",
    )  # fmt: skip
    assert_all_used(module, data)


def assert_all_used(module, data):
    module.on_fit_start()
    batch = next(iter(data.train_dataloader()))
    module.objective(module(batch), batch)["loss"].backward()
    trained = {k: p for k, p in module.named_parameters() if p.requires_grad}
    assert trained
    assert [k for k, p in trained.items() if p.grad is None] == []


@pytest.mark.parametrize(("trainer", "count"), [
    ({"accelerator": "cpu", "devices": "auto"}, 1),
    ({"accelerator": "auto", "devices": 2}, 2),  # gloo where there is no GPU
    ({"accelerator": "cpu", "devices": 3}, 3),
])
def test_number_of_processes(monkeypatch, trainer, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert num_processes(OmegaConf.create(trainer)) == count


def test_every_visible_gpu_gets_a_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert num_processes(OmegaConf.create({"accelerator": "auto", "devices": "auto"})) == 2
    assert num_processes(OmegaConf.create({"accelerator": "cpu", "devices": "auto"})) == 1
    with pytest.raises(ConfigError, match=r"devices is 3, 2 GPU\(s\) are visible"):
        num_processes(OmegaConf.create({"accelerator": "auto", "devices": 3}))
