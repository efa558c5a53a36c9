"""Every tracker of the group `tracker`: the same protocol, keys that name what makes the tracks, and a cache of slow ones."""

import os
from dataclasses import replace

import layouts
import numpy as np
import pytest
import small_world as world
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from flexhook.configuration.resolvers import config_folder
from flexhook.errors import ConfigError
from flexhook.structures import TrackSet
from flexhook.synthetic import TrackerErrors, simulate_tracker
from flexhook.trackers import simulated
from flexhook.trackers.from_config import build_tracker
from flexhook.trackers.given import GivenTracks
from flexhook.trackers.mot_files import TrackerFiles
from flexhook.trackers.simulated import SimulatedTracks, TrueTracks

NAMES = sorted(path.stem for path in (config_folder() / "tracker").glob("*.yaml"))


@pytest.fixture
def video(tmp_path):
    """The video of the small world, with tracks in every layout."""
    root = world.refer_kitti(tmp_path / "data")
    rows = world.mot_rows(columns="1,1,1")
    for path in ("0001.txt", "0001/car/predict.txt", "simulated/0001/car/predict.txt"):
        world.text(root / "tracks" / path, rows)
    for path in ("0001/pedestrian/predict.txt", "simulated/0001/pedestrian/predict.txt"):
        world.text(root / "tracks" / path, "")
    return layouts.refer_kitti(root, {"train": ["0001"]}, {"default": list(world.SIZE)}).read("0001")


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Counts the runs of the simulated tracker, with a cache of its own."""
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    calls = []

    def counted(*args):
        calls.append(args)
        return simulate_tracker(*args)

    monkeypatch.setattr(simulated, "simulate_tracker", counted)
    return calls


def equal(one, two):
    columns = ("frame", "identity", "box", "category", "confidence")
    return all(np.array_equal(getattr(one, c), getattr(two, c)) for c in columns) and one.categories == two.categories


@pytest.mark.parametrize("name", NAMES)
def test_every_tracker_of_the_group_tracks_a_video_and_has_a_key(video, made, tmp_path, name):
    file = f"{tmp_path}/data/tracks/0001.txt"
    more = {
        "file": [f"tracker.root={file}"],
        "detect": ["detector=mot", f"detector.root={file}", "tracker.min_length=1", "associator.minimum_consecutive_frames=1"],
    }.get(name, [])
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("dataset", overrides=["data=refer_kitti", f"data.root={tmp_path}/data", f"tracker={name}", *more])
    tracker = build_tracker(cfg)
    tracks = tracker.track(video)
    assert isinstance(tracks, TrackSet)
    assert len(tracks) > 0
    assert tracker.key(video) == tracker.key(video)
    assert type(tracker).__name__ in tracker.key(video)


def test_the_rates_of_the_configuration_are_those_of_the_class():
    cfg = OmegaConf.load(config_folder() / "tracker/simulated.yaml")
    assert instantiate(cfg.errors) == TrackerErrors()
    assert set(cfg.errors) - {"_target_"} == set(vars(TrackerErrors()))


def test_simulated_tracks_are_made_once_for_equal_settings_and_truth(video, made):
    tracker = SimulatedTracks(TrackerErrors(), seed=3)
    wanted = simulate_tracker(video, TrackerErrors(), 3)
    assert equal(tracker.track(video), wanted)
    assert equal(SimulatedTracks(TrackerErrors(), seed=3).track(video), wanted)
    assert len(made) == 1
    SimulatedTracks(TrackerErrors(), seed=4).track(video)
    SimulatedTracks(TrackerErrors(scale=2), seed=3).track(video)
    other = replace(video, truth=replace(video.truth, box=video.truth.box + 1))
    assert equal(tracker.track(other), simulate_tracker(other, TrackerErrors(), 3))
    assert len(made) == 4


def test_a_broken_entry_of_the_cache_is_made_again(video, made, tmp_path):
    tracker = SimulatedTracks(TrackerErrors())
    wanted = tracker.track(video)
    (entry,) = (tmp_path / "cache/tracks").iterdir()
    boxes = (entry / "box.npy").read_bytes()
    for content in (b"", boxes[:200], b"no array"):
        (entry / "box.npy").write_bytes(content)
        assert equal(tracker.track(video), wanted)
    assert len(made) == 4
    assert equal(tracker.track(video), wanted)
    assert len(made) == 4


def test_the_cache_can_be_off(video, made, monkeypatch, tmp_path):
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
    for _ in range(2):
        SimulatedTracks(TrackerErrors()).track(video)
    assert len(made) == 2
    assert not (tmp_path / "cache").exists()


def test_the_key_of_files_changes_with_a_setting_and_with_a_file(video, tmp_path):
    path = tmp_path / "data/tracks/0001.txt"
    keys = {TrackerFiles(path.parent, layout="per_video", min_confidence=c).key(video) for c in (None, 0.5)}
    keys.add(TrackerFiles(path, layout="single").key(video))
    os.utime(path, ns=(1, 1))
    keys.add(TrackerFiles(path, layout="single").key(video))
    assert len(keys) == 4


def test_the_key_of_the_truth_and_of_given_tracks_is_their_content(video):
    other = replace(video, truth=replace(video.truth, box=video.truth.box + 1))
    assert TrueTracks().key(video) != TrueTracks().key(other)
    assert TrueTracks().track(video) is video.truth
    assert GivenTracks(video.truth).key(video) == GivenTracks(video.truth).key(other) != GivenTracks(other.truth).key(video)


def test_a_single_file_is_read_for_any_video(video, tmp_path):
    path = tmp_path / "data/tracks/0001.txt"
    tracks = TrackerFiles(path, layout="single").track(replace(video, name="another"))
    assert equal(tracks, TrackerFiles(path.parent, layout="per_video").track(video))


def test_a_run_without_a_tracker_is_one_message():
    with pytest.raises(ConfigError, match=r"there is no tracker.*tracker=truth"):
        build_tracker(OmegaConf.create({"data": {}}))
    with pytest.raises(ConfigError, match="does not make a tracker"):
        build_tracker(OmegaConf.create({"tracker": {"root": "x"}}))
    with pytest.raises(ConfigError, match=r"tracker\.root"):
        TrackerFiles(None, layout="single")
