"""One-stage methods in two processes, in half precision, and with the divisor of the losses that processes share."""

import csv
import math

import numpy as np
import pytest
import torch
from one_stage_toy import METHODS, SPANS, one_stage_overrides
from toy_world import run_here, start, write_toy_world

from flexhook.methods.one_stage.module import OneStageModule

STILL = {"transrmot": ["model.random_drop=0", "model.fp_ratio=0"], "temprmot": ["model.temporal_dropout=0"]}
ONE_STEP = ["+visual.dropout=0", "+text.dropout=0", "+trainer.limit_train_batches=1", "optim.epochs=1", "seed=2",
            "optim.optimizer._target_=torch.optim.SGD", "~optim.optimizer.eps", "~optim.optimizer.betas",
            "optim.optimizer.lr=0.5", "trainer.log_every_n_steps=1"]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory, cache):
    return write_toy_world(tmp_path_factory.mktemp("one_stage_processes"), SPANS)


def losses(run):
    """The losses of every step that was noted."""
    with open(run / "metrics.csv", newline="") as stream:
        return [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]


def in_two_processes(argv, folder):
    keep = [f"+callbacks.keep={{_target_: toy_world.KeepWeights, folder: {folder}}}"]
    with start([*argv, "trainer=ddp", *keep], folder) as process:
        said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    return said, *(torch.load(folder / f"rank{k}.pt", weights_only=True) for k in range(2))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_train_and_have_the_same_weights(data, tmp_path, method):
    said, one, two = in_two_processes(one_stage_overrides(data, method, tmp_path / "run"), tmp_path)
    assert "2 processes" in said and "epoch 2/2" in said
    assert all(torch.equal(value, two[name]) and value.isfinite().all() for name, value in one.items())
    noted = losses(tmp_path / "run")
    assert len(noted) == 6 and all(map(math.isfinite, noted))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_take_the_step_of_one_with_both_clips(data, tmp_path, monkeypatch, method):
    """The losses of both clips are divided by the mean of their objects, which differ."""
    argv = lambda name: [*one_stage_overrides(data, method, tmp_path / name), *ONE_STEP, *STILL[method]]  # noqa: E731
    _, one, two = in_two_processes(argv("two"), tmp_path)
    seen = []

    def shared(self, samples):
        seen.append(samples)
        return [float(np.mean(samples))] * len(samples)

    monkeypatch.setattr(OneStageModule, "_divisors", shared)
    kept = {}
    for name, more in {"both": [], "start": ["optim.optimizer.lr=0"]}.items():
        status, said = run_here([*argv(name), "sampling.batch_size=2", *more], tmp_path)
        assert status == 0, said
        kept[name] = torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert len(set(seen[0])) == 2
    assert max((value - kept["start"][name]).abs().max().item() for name, value in one.items()) > 1e-3
    for name, value in one.items():
        assert torch.equal(value, two[name])
        torch.testing.assert_close(value, kept["both"][name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_has_finite_losses(data, tmp_path, method):
    run = tmp_path / "run"
    argv = [*one_stage_overrides(data, method, run), "trainer.precision=bf16-mixed", "+trainer.limit_train_batches=2",
            "optim.epochs=1"]  # fmt: skip
    status, said = run_here(argv, tmp_path)
    assert status == 0, said
    noted = losses(run)
    assert len(noted) == 2 and all(map(math.isfinite, noted))
