"""A dataset of two cars, and a run in which one of its two expressions was answered wrongly."""

import json

import layouts
import pytest
from evaluate_world import EXPRESSIONS, FRAMES, VIDEOS, write_answers
from PIL import Image


@pytest.fixture
def dataset(tmp_path):
    """Three test videos in the raw layout: two cars of 100 x 50 pixels, the first of which is left."""
    root = tmp_path / "data"
    for name in VIDEOS:
        images, labels = (root / "KITTI" / part / name for part in ("training/image_02", "labels_with_ids/image_02"))
        for folder in (images, labels, root / "expression" / name):
            folder.mkdir(parents=True)
        for frame in range(FRAMES):
            Image.new("RGB", (124, 37)).save(images / f"{frame:06d}.png")
            rows = [f"1 {k} {x / 1242} {50 / 375} {100 / 1242} {50 / 375}\n" for k, x in ((1, 100), (2, 900))]
            (labels / f"{frame:06d}.txt").write_text("".join(rows))
        for expression, ids in zip(EXPRESSIONS, ([1, 2], [1]), strict=True):
            content = {
                "label": {str(frame): ids for frame in range(FRAMES)},
                "ignore": [],
                "video_name": name,
                "sentence": expression.sentence,
            }
            (root / "expression" / name / f"{expression.slug}.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def run(tmp_path, dataset):
    """A run folder in which "left cars" was answered with both cars."""
    folder = tmp_path / "run"
    write_answers(folder / "scores", [1, 2])
    names = ", ".join(f"'{name}'" for name in VIDEOS)
    (folder / "config.yaml").write_text(
        f"data:\n  root: {dataset}\n  reader:\n    _target_: flexhook.datasets.dataset.Dataset\n"
        f"    root: {dataset}\n    splits: {{test: [{names}], val: ['0011']}}\n"
        f"    sizes: {{default: [375, 1242]}}\n{layouts.REFER_KITTI_PARTS}"
        "protocol: {judge_last_observation: true}\n"
    )
    return folder
