"""The numbers that papers report, by hand on the small world, and the picture of them."""

import json
from pathlib import Path

import layouts
import numpy as np
import pytest
import small_world as world
from PIL import Image

from flexhook.commands.data import run
from flexhook.datasets.stats import split_stats, table, unseen_share
from flexhook.datasets.stats_plot import plot_stats
from flexhook.errors import InputError

SPLITS = "data.reader.splits={train:['0001'],val:[],test:['0001']}"


@pytest.fixture
def data(tmp_path):
    return world.refer_kitti(tmp_path / "data")


def stats(data):
    return split_stats([layouts.refer_kitti(data, {"a": ["0001"]}, {"default": list(world.SIZE)}).read("0001")])


def test_numbers_of_the_small_world(data):
    numbers = stats(data).to_dict()
    expected = {
        "videos": 1,
        "frames": 6,
        "tracks": 3,
        "boxes": 6,
        "boxes per frame": 1.0,
        "track length, mean": 2.0,
        "track length, median": 2.0,
        "expressions": 3,
        "distinct sentences": 3,
        "words": 7,
        "words per expression": 7 / 3,
        "distinct words": 7,
        "referents per expression": 4 / 3,
        "referent boxes per expression": 7 / 3,
        "share of positives": 7 / 18,
        "expressions naming class": 3,
        "expressions naming colour": 1,
        "expressions naming side": 1,
        "expressions naming motion": 0,
    }
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    assert stats(data).values("class") == {"car": 2, "person": 1}
    assert sorted(stats(data).track_length.tolist()) == [1, 2, 3]
    assert stats(data).box_height.tolist() == pytest.approx([50, 20, 50, 20, 50, 30], abs=1e-3)


def test_nothing_counts_to_nothing():
    numbers = split_stats([]).to_dict()
    assert all(value == 0 for value in numbers.values())
    assert "videos" in table({"train": numbers})


def test_share_of_sentences_that_training_lacks(data):
    mine = stats(data)
    assert unseen_share(mine, mine) == 0
    assert unseen_share(split_stats([]), mine) == 1


def test_the_command_prints_and_draws(data, tmp_path, capsys):
    plot = tmp_path / "plots/stats.png"
    size = f"data.reader.sizes.default={list(world.SIZE)}"
    world.text(data / "tracks/0001/car/predict.txt", world.mot_rows(columns="1,1,1"))
    world.text(data / "tracks/0001/pedestrian/predict.txt", "")
    base = ["stats", "data=refer_kitti", f"data.root={data}", SPLITS, size]
    assert run([*base, "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert f"plots: {plot}" in out
    rows = {line[:38].strip(): line.split()[-2:] for line in out.splitlines()}
    assert rows["boxes"] == ["0", "6"]
    assert rows["tracker HOTA"] == ["100.0", "100.0"]
    with Image.open(plot) as image:
        picture = np.asarray(image.convert("L"))
    assert min(picture.shape) > 900
    assert (picture < 250).mean() > 0.02  # something is drawn
    assert run([*base, "--no-plot", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["splits"]["train"]["share of positives"] == pytest.approx(7 / 18)
    assert report["splits"]["test"]["sentences not in training"] == 0
    assert report["attributes"]["test"]["colour"] == {"red": 1}
    assert report["splits"]["val"]["videos"] == 0
    assert run([*base, "--no-plot", "--json", "data.reader.splits={train:[],test:['0001']}"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "sentences not in training" not in report["splits"]["test"]  # nothing to compare with


def test_the_picture_shows_the_tracker_where_there_is_one(data, tmp_path):
    blue = []  # pixels of the split's colour in the last panel
    for quality in (None, {"a": {"HOTA": 50.0}}):
        plot_stats({"a": stats(data)}, "small", tmp_path / "a.png", quality)
        with Image.open(tmp_path / "a.png") as image:
            picture = np.asarray(image.convert("RGB"))
        panel = picture[picture.shape[0] * 3 // 4 : -60, picture.shape[1] * 2 // 3 :]
        blue.append((panel == (0x2F, 0x6D, 0xB5)).all(axis=2).sum())
    assert blue[0] == 0
    assert blue[1] > 5000


def test_what_cannot_be_counted_or_drawn_is_one_message(data, tmp_path):
    base = ["stats", "data=refer_kitti", f"data.root={data}", f"data.reader.sizes.default={list(world.SIZE)}"]
    with pytest.raises(InputError, match="it is a folder"):
        run([*base, SPLITS, "--plot", str(tmp_path)])
    with pytest.raises(InputError, match="1 of the 1 videos of split test are not on disk: 0009"):
        run([*base, "data.reader.splits={train:[],val:[],test:['0009']}", "--no-plot"])


@pytest.mark.skipif(
    not (Path(__file__).parents[2].parent / "shared/data").is_dir(), reason="the real files are not beside this checkout"
)
def test_real_tracks_have_plausible_quality(capsys):
    shared = Path(__file__).parents[2].parent / "shared/data"
    arguments = ["data=kitti", f"data.root={shared}/kitti", "data.reader.images=null", "--no-plot", "--json"]
    splits = "data.reader.splits={train:[],val:[],test:['0005','0011']}"
    tracks = f"tracker.root={shared}/kitti/tracks/pointrcnn_bytetrack"
    assert run(["stats", *arguments, splits, tracks, r"data.reader.truth.path='label_02/{video}.txt'"]) == 0
    test = json.loads(capsys.readouterr().out)["splits"]["test"]
    assert (test["videos"], test["frames"]) == (2, 670)
    assert 40 < test["tracker HOTA"] < 80
