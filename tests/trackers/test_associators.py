"""The four associators behind their wrapper: identities are there, keep to classes, and times follow the frame rate."""

import inspect
import re

import numpy as np
import pytest
from hydra.utils import get_class, instantiate
from moving import SIZE, detections, find_squares, walk
from omegaconf import OmegaConf
from scipy.ndimage import gaussian_filter

from flexhook.configuration.resolvers import config_folder
from flexhook.configuration.trust import PARTS
from flexhook.errors import ConfigError
from flexhook.trackers.associators.algorithms import BotSort, ByteTrack, OCSort, Sort
from flexhook.trackers.detections import make_detections

ALGORITHMS = [Sort, ByteTrack, OCSort, BotSort]
YAMLS = sorted((config_folder() / "associator").glob("*.yaml"))
TWO = walk((10, 10), (2, 0), 14), walk((90, 60), (-2, 0), 14)


def run(associator, every, frame_rate=30.0):
    """Per frame {identity: box}."""
    associator.reset(frame_rate)
    picture = np.zeros((*SIZE, 3), np.uint8) if associator.uses_frames else None
    found = [associator.update(one, picture) for one in every]
    assert all((one.tracker_id >= 1).all() and len(set(one.tracker_id)) == len(one) for one in found)
    return [dict(zip(one.tracker_id.tolist(), one.xyxy.tolist(), strict=True)) for one in found]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_objects_keep_two_identities(algorithm):
    found = run(algorithm(), detections(*TWO))
    assert all(set(one) == {1, 2} for one in found[3:])
    assert set().union(*found) == {1, 2}
    assert all(abs(one[1][0] - TWO[0][k, 0]) < 1e-3 for k, one in enumerate(found) if 1 in one) or all(
        abs(one[2][0] - TWO[0][k, 0]) < 1e-3 for k, one in enumerate(found) if 2 in one
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_boxes_without_identity_do_not_leave(algorithm):
    noise = [make_detections([[100, 10 * k, 110, 10 * k + 8]], [0.9]) for k in range(14)]  # too far from each other
    found = run(algorithm(minimum_consecutive_frames=3), noise)
    first = 1 if algorithm is BotSort else 0  # it trusts the boxes of the first frame
    assert sum(map(len, found)) <= first


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_object_that_was_hidden_goes_on_under_its_identity_and_none_is_minus_one(algorithm):
    found = run(algorithm(), detections(*TWO, missing={(0, 7), (0, 8)}))
    assert set().union(*found) == {1, 2}
    assert all(set(one) == {1, 2} for one in found[12:])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_empty_frames_at_any_place_are_taken(algorithm):
    none = make_detections([])
    found = run(algorithm(), [none, none, *detections(*TWO), none, none])
    assert found[:2] == [{}, {}] and found[-2:] == [{}, {}] and set(found[10]) == {1, 2}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_video_begins_at_identity_one_again(algorithm):
    associator = algorithm()
    first, second = (run(associator, detections(*TWO)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_classes_are_linked_apart_unless_they_are_not_to_count(algorithm):
    late = detections(TWO[0], classes=lambda k, frame: int(frame >= 7))  # the class changes on the way
    apart, together = run(algorithm(), late), run(algorithm(class_agnostic=True), late)
    assert set(together[6]) == set(together[13]) == {1}
    assert set(apart[6]) == {1} and set(apart[13]) == {2}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_time_that_a_track_waits_follows_the_frame_rate(algorithm):
    still = walk((40, 40), (0, 0), 30)
    gap = {(0, frame) for frame in range(8, 18)}  # ten frames
    every = detections(still, missing=gap)
    settings = {"lost_track_buffer": 15}  # half a second
    fast, slow = run(algorithm(**settings), every, 30.0), run(algorithm(**settings), every, 10.0)
    assert set(fast[-1]) == {1} and set(slow[-1]) == {2}


def test_botsort_looks_at_pictures_only_with_motion_compensation():
    assert BotSort().uses_frames and not BotSort(enable_cmc=False).uses_frames and not ByteTrack().uses_frames


def test_botsort_follows_a_camera_that_jumps():
    """Every fourth frame the whole picture jumps by more than an object's width: only compensation bridges that."""
    noise = np.random.default_rng(0).normal(size=(136, 260))
    scene = gaussian_filter(noise, 2.5) / gaussian_filter(noise, 2.5).std()
    scene = np.repeat((70 + 25 * scene).clip(0, 140).astype(np.uint8)[..., None], 3, 2)
    pictures, every = [], []
    for frame in range(12):
        x = 20 + 14 * (frame // 4)
        picture = scene[20:116, x : x + 160].copy()
        picture[40:60, 120 - x : 130 - x] = (230, 40, 40)
        pictures.append(picture)
        every.append(find_squares(picture))
    counts = {}
    for compensated in (True, False):
        associator = BotSort(enable_cmc=compensated, cmc_downscale=1)
        associator.reset(30.0)
        seen = [associator.update(one, picture).tracker_id for one, picture in zip(every, pictures, strict=True)]
        counts[compensated] = len(set(np.concatenate(seen).tolist()))
    assert counts == {True: 1, False: 3}


def test_settings_below_zero_are_refused():
    with pytest.raises(ConfigError, match=r"associator.lost_track_buffer is -1"):
        ByteTrack(lost_track_buffer=-1)


def test_keys_name_algorithm_and_settings():
    keys = {a.key() for a in (ByteTrack(), ByteTrack(minimum_iou_threshold=0.2), ByteTrack(class_agnostic=True), Sort())}
    assert len(keys) == 4 and ByteTrack().key() == ByteTrack().key()


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_every_parameter_is_in_the_yaml_with_its_default_and_a_comment(path):
    settings = OmegaConf.to_container(OmegaConf.load(path))
    kind = get_class(settings.pop("_target_"))
    defaults = {k: p.default for k, p in inspect.signature(kind).parameters.items()}
    assert settings == defaults
    assert set(PARTS[f"{kind.__module__}.{kind.__qualname__}"].split()) == defaults.keys()
    assert isinstance(instantiate(OmegaConf.load(path)), kind)
    for line in path.read_text().splitlines()[2:]:
        assert re.fullmatch(r"\w+: \S+ # .{8,}", line), line
        assert line.split(":")[0] in inspect.getdoc(kind)
