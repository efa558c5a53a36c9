"""The Python lines of the README run as they stand, and methods that need no tracks have the same interface."""

import re
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
import torch
from colour_method import ColourMethod

from flexhook.api import Model
from flexhook.errors import ConfigError
from flexhook.media.video_files import VideoWriter

README = Path(__file__).parents[2] / "README.md"


def test_the_python_lines_of_the_readme_run(toy, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(import flexhook\n.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/latest").symlink_to(toy.run)
    with VideoWriter("clip.mp4", frame_rate=10) as video:
        for image in toy.frames:
            video.write(image)
    (tmp_path / "tracks.txt").write_bytes(toy.tracks.read_bytes())
    names = {
        "frame": np.zeros((720, 1280, 3), np.uint8),
        "detections": sv.Detections(np.array([[10.0, 20, 300, 400]]), tracker_id=np.array([3])),
    }
    exec(code, names)
    assert list(names["result"]) == ["white cars"]
    assert {"out.mp4", "out"} <= {p.name for p in tmp_path.iterdir()}
    assert isinstance(names["answer"]["white cars"], sv.Detections)
    assert names["stream"].sentences == ("people on the left",)


@pytest.fixture
def colours():
    method = ColourMethod(0.1)
    torch.nn.init.constant_(method.threshold, 0.3)
    return Model(method, Path("colour.ckpt"), torch.device("cpu"))


def test_method_that_finds_its_objects_itself_needs_no_tracks(colours):
    frames = np.full((3, 64, 192, 3), 90, np.uint8)
    frames[1:, 8:24, 30:54] = (230, 0, 0)
    red = colours.predict(frames, ["red cars", "blue cars"], frame_rate=2)["red cars"]
    table = red.to_dataframe()
    assert table.frame.tolist() == [1, 2]
    assert table[["x", "y", "width", "height"]].to_numpy().tolist() == [[30, 8, 24, 16]] * 2
    assert table.probability.tolist() == [0.75, 0.75]
    assert table.seconds.tolist() == [0.5, 1.0]


def test_method_without_streams_says_so(colours):
    with pytest.raises(ConfigError, match="does not work frame by frame"):
        colours.stream(["red cars"], (64, 192))
