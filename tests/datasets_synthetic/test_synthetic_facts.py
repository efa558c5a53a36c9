"""What sentences claim is measured in the world, not in the picture."""

import numpy as np
import pytest

from flexhook.synthetic.camera import Camera
from flexhook.synthetic.meanings import Facts, Meaning, every_meaning, facts_of, referents
from flexhook.synthetic.paths import Path, steady, stop_and_go, with_stop
from flexhook.synthetic.scene import Scene
from flexhook.synthetic.sentences import word
from flexhook.synthetic.thing import HISTORY, Thing
from flexhook.synthetic.visibility import Observations

FRAMES, RATE = 5, 4.0
TIME = np.arange(-HISTORY, FRAMES) / RATE


def facts(kind, poses, ego=None, box=(600.0, 150.0, 640.0, 190.0)) -> Facts:
    """Facts of one object that is seen in every frame."""
    ego = np.zeros((len(TIME), 3)) if ego is None else ego
    thing = Thing(kind, "red", (4.0, 1.8, 1.5), poses, np.zeros(len(TIME)))
    camera = Camera((375, 1242), 720.0, (621.0, 170.0), 1.7)
    seen = Observations(np.arange(FRAMES), np.zeros(FRAMES, int), np.tile(box, (FRAMES, 1)), np.ones(FRAMES))
    return facts_of(Scene("made", 0, camera, FRAMES, RATE, ego, (thing,)), seen)


def at(x, z, yaw=0.0):
    return np.tile([x, z, yaw], (len(TIME), 1)).astype(float)


def straight(speed, x=0.0, z=20.0, yaw=0.0):
    return Path((x, z, yaw)).poses(speed * TIME)


def test_a_parked_car_is_still_while_we_drive_past_and_gets_closer():
    passed = facts("car", at(4, 20), ego=straight(7.0, z=0.0))
    assert not passed.moving.any()
    assert referents(passed, Meaning("car", motion="approaching")).all()
    slowly = facts("car", at(4, 20), ego=straight(2.0, z=0.0))
    assert not referents(slowly, Meaning("car", motion="approaching")).any()


def test_a_car_that_keeps_our_pace_moves_but_keeps_its_distance():
    ahead = facts("car", straight(5.0), ego=straight(5.0, z=0.0))
    assert ahead.moving.all() and np.abs(ahead.closing).max() < 0.01
    assert not referents(ahead, Meaning("car", motion="receding")).any()


@pytest.mark.parametrize("speed, yaw, motion", [(6.0, np.pi, "approaching"), (6.0, 0.0, "receding")])
def test_closer_and_farther(speed, yaw, motion):
    f = facts("car", straight(speed, yaw=yaw))
    assert referents(f, Meaning("vehicle", motion=motion)).all()
    assert not referents(f, Meaning("vehicle", motion={"approaching": "receding", "receding": "approaching"}[motion])).any()


@pytest.mark.parametrize("sign, side", [(-1, "left"), (1, "right")])
def test_turning_is_a_change_of_heading_of_a_moving_object(sign, side):
    arc = Path((0.0, 20.0, 0.0), 20.0, 20.0, sign / 8).poses(5 * TIME)
    f = facts("car", arc)
    assert referents(f, Meaning("car", motion=f"turning {side}")).all()
    assert referents(f, Meaning("car", motion="turning")).all() and referents(f, Meaning("car", motion="moving")).all()
    other = {"left": "right", "right": "left"}[side]
    assert not referents(f, Meaning("car", motion=f"turning {other}")).any()


def test_our_own_turn_turns_nobody_else():
    ego = Path((0.0, 0.0, 0.0), 20.0, 20.0, 1 / 11).poses(3 * TIME)
    f = facts("car", at(3, 15), ego=ego)
    assert not f.moving.any() and not f.turning.any()


@pytest.mark.parametrize(
    "yaw, direction", [(0.0, "same"), (np.pi, "counter"), (np.pi / 2, "crossing"), (-1.6, "crossing"), (6.4, "same")]
)
def test_direction_is_heading_relative_to_ours_of_moving_and_parked_alike(yaw, direction):
    assert set(facts("van", at(0, 20, yaw)).direction) == {direction}
    assert set(facts("van", at(0, 20, yaw + 1.0), ego=at(0, 0, 1.0)).direction) == {direction}


def test_walking_is_slower_than_driving():
    assert facts("pedestrian", straight(1.4, yaw=1.5)).moving.all()
    assert not facts("pedestrian", at(0, 20)).moving.any()


@pytest.mark.parametrize("left, side", [(100.0, "left"), (600.0, "front"), (1000.0, "right")])
def test_side_is_that_of_the_box(left, side):
    assert set(facts("car", at(0, 20), box=(left, 100.0, left + 50, 140.0)).side) == {side}


@pytest.mark.parametrize("z, distance", [(8, "near"), (17, ""), (30, "far")])
def test_distance_is_measured_in_metres(z, distance):
    assert set(facts("car", at(0, z)).distance) == {distance}


def test_a_stop_is_still_between_its_ends():
    time = np.arange(0, 20, 0.25)
    length = with_stop(time, 8.0, 6.0, 12.0, 4.0)
    assert np.allclose(length[(time >= 8) & (time <= 12)], 0)
    assert np.allclose(np.diff(length)[:10] / 0.25, 6.0) and np.allclose(np.diff(length)[-10:] / 0.25, 6.0)
    assert np.allclose(np.diff(steady(time, 3.0, 2.0)), 0.5)


@pytest.mark.parametrize("moves", [True, False])
def test_who_stops_and_goes_is_at_its_place_now_and_stands_and_drives_in_turn(moves):
    time, now = np.arange(-1, 24, 0.25), 9.5
    for seed in range(20):
        length = stop_and_go(time, now, 6.0, moves, 8.0, np.random.default_rng(seed))
        speed = np.diff(length) / 0.25
        assert length[time == now] == pytest.approx(0)
        assert speed.min() > -1e-9 and speed.max() < 6.0 + 1e-9
        assert np.abs(np.diff(speed)).max() / 0.25 < 8.5  # accelerates in some steps, not at once
        stands, drives = speed < 0.05, speed > 5.9
        assert 0.2 < stands.mean() < 0.8 and drives.mean() > 0.1
        assert 4 <= np.abs(np.diff(stands.astype(int))).sum() <= 16  # some turns within 25 seconds
        assert np.array_equal(length, stop_and_go(time, now, 6.0, moves, 8.0, np.random.default_rng(seed)))


def test_paths_are_smooth():
    path = Path((1.0, 2.0, 0.3), 4.0, 9.0, -1 / 7)
    poses = path.poses(np.linspace(-15, 20, 701))
    assert np.allclose(np.hypot(*np.diff(poses[:, :2], axis=0).T), 0.05, atol=1e-4)
    assert np.abs(np.diff(poses[:, 2])).max() <= 0.05 / 7 + 1e-9
    assert np.ptp(poses[:, 2]) == pytest.approx(13 / 7)


@pytest.mark.parametrize(
    "meaning, words",
    [
        (Meaning("car"), {"cars", "autos", "the cars", "the autos"}),
        (Meaning("truck", motion="turning left"), {"trucks turning left", "trucks which are turning to the left",
                                                   "the trucks turning left", "the trucks which are turning to the left"}),
    ],
)  # fmt: skip
def test_open_wordings(meaning, words):
    assert {word(meaning, np.random.default_rng(k)) for k in range(200)} == words


def test_people_walk_and_stand_and_are_who():
    said = {word(Meaning("pedestrian", motion=m), np.random.default_rng(k)) for m in ("moving", "still") for k in range(200)}
    said |= {word(Meaning("person", motion="approaching"), np.random.default_rng(k), reserved=True) for k in range(200)}
    assert not any("which" in s or "that" in s or "park" in s or "driv" in s for s in said)
    assert {"walking pedestrians", "standing pedestrians", "pedestrians who are walking"} <= said


def test_reserved_words_are_never_open_words():
    rng = np.random.default_rng(0)
    meanings = every_meaning(("red", "blue"))
    picked = [meanings[k] for k in rng.choice(len(meanings), 300, replace=False)]
    opened = {word(m, rng) for m in picked for _ in range(20)}
    reserved = {word(m, rng, reserved=True) for m in picked for _ in range(20)}
    assert not opened & reserved


def test_different_meanings_never_share_a_sentence():
    rng = np.random.default_rng(1)
    owner = {}
    for meaning in every_meaning(("red", "green"), most=2):
        for _ in range(6):
            for reserved in (False, True):
                sentence = word(meaning, rng, reserved=reserved)
                assert owner.setdefault(sentence, meaning) == meaning, sentence
