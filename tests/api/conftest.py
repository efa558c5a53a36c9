"""A run of the toy world, and a video of it with its tracks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_video import SIZE
from toy_world import run_here, toy_overrides, write_toy_world

import flexhook
from flexhook.datasets.mot import read_mot

SPANS = {1: range(12), 2: [0, 1, 5, 6, 7], 3: range(4, 12)}


@dataclass
class Toy:
    """A trained toy model and a video."""

    run: Path
    video: Path  # a folder of images
    tracks: Path  # a MOT file

    @property
    def frames(self):
        return [np.asarray(Image.open(p).convert("RGB").resize(SIZE[::-1])) for p in sorted(self.video.iterdir())]

    @property
    def track_set(self):
        return read_mot(self.tracks, first_frame=1)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("WANDB_MODE", "offline")
        root = write_toy_world(tmp_path_factory.mktemp("toy"), {"a": {1: range(8), 2: range(2, 8)}, "u": SPANS})
        run = tmp_path_factory.mktemp("outputs") / "run"
        status, said = run_here(["train", *toy_overrides(root, "a", "u", ""), f"hydra.run.dir={run}", "test=false"], root)
        assert status == 0, said
    return Toy(run, root / "KITTI/training/image_02/u", root / "tracks/u/car/predict.txt")


@pytest.fixture(scope="session")
def model(toy):
    return flexhook.load(toy.run, "cpu")
