"""The first stage on real clips: background subtraction for fixed cameras, boxes annotated by hand for a driving one."""

from pathlib import Path

import numpy as np
import pytest
from toy_world import run_here

from flexhook.datasets.mot import read_mot

CLIPS = Path(__file__).parents[2].parent / "shared/data/videos"
BY_HAND = Path(__file__).parents[1] / "fixtures/highway_detections.txt"

pytestmark = pytest.mark.skipif(not CLIPS.is_dir(), reason="the real clips are not beside this checkout")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("associator", ["sort", "bytetrack", "ocsort", "botsort"])
def test_the_two_cars_of_the_highway_are_two_whole_tracks(tmp_path, associator):
    status, said = run_here(["track", f"video={CLIPS}/highway_cars.mp4", "detector=mot", f"detector.root={BY_HAND}",
                             f"associator={associator}", f"out={tmp_path}/tracks"], tmp_path)  # fmt: skip
    assert status == 0, said
    tracks = read_mot(tmp_path / "tracks/highway_cars.txt", first_frame=1)
    assert len(tracks.tracks()) == 2 and len(tracks) == 2 * 38
    black, white = sorted(tracks.tracks().values(), key=lambda rows: tracks.box[rows[0], 0])
    assert np.abs(tracks.box[black][[0, -1]] - [[810, 410, 941, 496], [815, 412, 942, 492]]).max() < 6
    assert np.abs(tracks.box[white][[0, -1]] - [[1004, 407, 1188, 497], [1048, 404, 1263, 506]]).max() < 6


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "at_least"), [("one_by_one_person_detection", 6), ("car_detection", 3)])
def test_who_moves_before_a_fixed_camera_is_tracked(tmp_path, clip, at_least):
    status, said = run_here(["track", f"video={CLIPS}/{clip}.mp4", "detector=background", "associator=ocsort",
                             f"out={tmp_path}/tracks"], tmp_path)  # fmt: skip
    assert status == 0, said
    tracks = read_mot(tmp_path / f"tracks/{clip}.txt", first_frame=1)
    assert len(tracks.tracks()) >= at_least and "frames per second" in said
