"""Puts the tests' helper modules (``tests/helpers``) within reach of every test; a toy world and one tiny real run."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HELPERS = Path(__file__).parent / "helpers"
sys.path.insert(0, str(HELPERS))
os.environ["FLEXHOOK_TRUST"] = "toy_world,colour_method,corners_layout"  # stored configurations may name the tests' own parts

from toy_world import run_here, toy_overrides, write_toy_world  # noqa: E402


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """The folder that FLEXHOOK_CACHE names."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(folder))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("OMP_NUM_THREADS", "1")  # of started processes
        yield folder


@dataclass
class Toy:
    """A toy world: three training videos, and three that validate and test."""

    root: Path
    overrides: list[str]

    def train(self, folder, *more):
        """``flexhook train`` in this process: (exit status, output)."""
        return run_here(["train", *self.overrides, f"hydra.run.dir={folder}", *more], Path(folder).parent)

    def run(self, folder, *more):
        """A training that has to succeed; its metrics."""
        status, said = self.train(folder, *more)
        assert status == 0, said
        return json.loads((Path(folder) / "metrics.json").read_text())


@pytest.fixture(scope="session")
def toy(tmp_path_factory, cache):
    root = write_toy_world(tmp_path_factory.mktemp("toy"), {
        "a": {1: range(8), 2: range(2, 8)}, "b": {3: range(7), 4: range(7)}, "c": {5: range(1, 6)},
        "u": {1: range(6), 2: range(3)}, "v": {3: range(5)}, "w": {8: range(4)},
    })
    return Toy(root, toy_overrides(root, "abc", "uvw", "uvw"))


@dataclass
class Tiny:
    """The run of ``flexhook train experiment=synthetic_tiny`` that tests look at."""

    folder: Path  # where the command ran
    run: Path  # its run folder
    said: str

    @property
    def metrics(self):
        return json.loads((self.run / "metrics.json").read_text())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("tiny")
    status, said = run_here(["train", "experiment=synthetic_tiny", "visual.strides=[16,32]", "optim.epochs=4",
                             "sampling.stride=2", "sampling.val_stride=4", "scoring.smoothing=1"], folder)
    assert status == 0, said
    return Tiny(folder, (folder / "outputs/latest").resolve(), said)
