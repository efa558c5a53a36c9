"""Boxes in another unit: told with the likely factor and the remedy; sound boxes are never suspected."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import layouts
import numpy as np
import pytest

from flexhook.commands.data import run
from flexhook.datasets.box_units import unit_findings, warn_of_units
from flexhook.datasets.kitti_labels import read_kitti_labels
from flexhook.datasets.mot import read_mot, write_mot
from flexhook.media.images import ImageFiles
from flexhook.structures import TrackSet
from flexhook.synthetic import TrackerErrors, WorldConfig, simulate_tracker
from flexhook.synthetic.world import simulate_world

SHARED = Path(__file__).parents[2].parent / "shared"
CASES, KITTI, SAMPLE = SHARED / "cases", SHARED / "data/kitti", SHARED / "data/refer_kitti_sample"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not beside this checkout")
CLIP, SIZE = (180, 320), (375, 1242)


def scaled(tracks, x, y=None):
    return replace(tracks, box=tracks.box * [x, y or x, x, y or x])


def as_corners(tracks):
    """What a reader of x, y, w, h makes of a file of corners."""
    return replace(tracks, box=np.concatenate([tracks.box[:, :2], tracks.box[:, :2] + tracks.box[:, 2:]], axis=1))


def told(tracks, size, **more):
    """Unit and factor of the finding; None where nothing is found."""
    found = unit_findings(tracks, size, **more)
    assert len(found) <= 1
    return None if not found else found[0].unit if found[0].factor is None else (found[0].unit, round(found[0].factor[0], 2))


@needs_shared
@pytest.mark.parametrize(
    ("case", "size", "words"),
    [
        ("m_half", CLIP, ["half the size", "0.5 times", "Set tracker.size=[90,160]"]),
        ("m_double", CLIP, ["double the size", "2 times", "Set tracker.size=[360,640]"]),
        ("m_xyxy", CLIP, ["24 of 24 boxes stick out", "frame,id,x1,y1,x2,y2", "w = x2 - x1 and h = y2 - y1"]),
        ("k16_kitti_1242px", (224, 741), ["1242x375 (KITTI's)", "1.68 times", "Set tracker.size=[375,1242]"]),
    ],
)
def test_the_cases_are_told_with_factor_and_remedy(case, size, words):
    said = []
    warn_of_units(read_mot(CASES / f"{case}.txt", first_frame=1), size, case, say=said.append)
    assert len(said) == 1
    assert said[0].startswith(f"warning: {case}: ")
    for word in words:
        assert word in said[0]


@needs_shared
def test_normalised_boxes_are_told_and_the_clips_own_are_not(capsys):
    tracks = read_mot(CASES / "tracks.txt", first_frame=1)
    warn_of_units(tracks, CLIP)
    assert capsys.readouterr().out == ""
    warn_of_units(scaled(tracks, 1 / 320, 1 / 180), CLIP, option="frame_size")
    assert "normalised, as fractions of the frame. Set frame_size=[1,1]" in capsys.readouterr().out
    assert unit_findings(scaled(tracks, 0.5), CLIP, option=None)[0].hint == "Convert the boxes to pixels of the original frame"


@needs_shared
@pytest.mark.parametrize("path", sorted((KITTI / "label_02").glob("*.txt")), ids=lambda path: path.stem)
def test_of_every_kitti_video_the_unit_is_told(path):
    tracks = read_kitti_labels(path)
    assert told(tracks, SIZE) is None
    for scale in (0.25, 0.5, 2.0):
        assert told(scaled(tracks, scale), SIZE) == ("scaled", scale)
    assert told(scaled(tracks, 1 / 1242, 1 / 375), SIZE) == "normalised"
    assert told(as_corners(tracks), SIZE) == "corners"
    assert told(tracks, (224, 741)) == ("scaled", 1.68)


@needs_shared
def test_real_trackers_and_detectors_are_not_suspected():
    files = sorted([*(KITTI / "tracks").rglob("*.txt"), *(KITTI / "detections").rglob("*.txt")])
    assert len(files) > 50
    for file in files:
        tracks = read_mot(file, first_frame=0, unidentified="detections", drop_empty=True)
        assert told(tracks, SIZE) is None, file


def test_the_synthetic_world_and_simulated_trackers_of_it_are_not_suspected():
    config = WorldConfig(train_videos=2, val_videos=1, test_videos=1, frames=24, expressions=24)
    for simulated in simulate_world(config).values():
        video = simulated.as_video(ImageFiles(["none"] * config.frames))
        assert told(video.truth, video.size) is None
        for scale in (1, 4):
            tracks = simulate_tracker(video, TrackerErrors(scale=scale), 0)
            assert told(tracks, video.size) is told(tracks, video.size, truth=video.truth) is None


@needs_shared
def test_the_sample_and_simulated_trackers_of_it_are_not_suspected():
    reader = layouts.refer_kitti(SAMPLE, {"train": ["0005", "0016"]}, {"default": SIZE, "0016": (370, 1224)})
    for name in ("0005", "0016"):
        video = reader.read(name)
        assert told(video.truth, video.size) is None
        for scale in (1, 4):
            tracks = simulate_tracker(video, TrackerErrors(scale=scale), 0)
            assert told(tracks, video.size) is told(tracks, video.size, truth=video.truth) is None


@needs_shared
def test_with_truth_a_smaller_picture_is_told_that_could_be_sound_without():
    truth = read_kitti_labels(KITTI / "label_02/0016.txt")
    assert told(scaled(truth, 0.6), SIZE) is None
    for scale in (0.4, 0.6, 0.75, 1.25, 2.0):
        assert told(scaled(truth, scale), SIZE, truth=truth) == ("scaled", scale)
    assert told(as_corners(truth), SIZE, truth=truth) == "corners"
    assert told(truth, SIZE, truth=truth) is None
    assert told(truth, (224, 741), truth=scaled(truth, 741 / 1242)) == ("scaled", 1.68)


def test_few_boxes_and_none_tell_nothing():
    assert unit_findings(TrackSet.empty(), CLIP) == []
    assert told(TrackSet.build([0], [0], [[10, 10, 30, 30]]), CLIP) is None


@needs_shared
@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda t: scaled(t, 0.5), "half the size"), (as_corners, "corners instead"), (lambda t: scaled(t, 2), "double the size")],
)
def test_the_data_check_warns_of_tracks_in_another_unit(tmp_path, capsys, change, words):
    root = tmp_path / "data"
    shutil.copytree(SAMPLE, root, copy_function=shutil.copyfile)
    reader = layouts.refer_kitti(root, {"train": ["0005"]}, {"default": SIZE})

    def check(tracks):
        write_mot(tmp_path / "tracks/0005.txt", tracks)
        run(["check", "data=refer_kitti", f"data.root={root}", "data.reader.splits={train:['0005']}", "tracker=per_video",
             f"tracker.root={tmp_path}/tracks", "--images=none", "--json"])
        return {f["kind"]: f for f in json.loads(capsys.readouterr().out)["findings"]}

    truth = reader.read("0005").truth
    assert "box-units" not in check(truth)
    found = check(change(truth))["box-units"]
    assert (found["severity"], found["count"]) == ("warning", 1)
    assert words in found["example"]["message"]
    assert found["example"]["file"].endswith("tracks/0005.txt")
