"""The three perturbations: what they may do, how often and how far."""

import numpy as np
import pytest

from flexhook.errors import ConfigError
from flexhook.sampling.perturbations import (
    GaussianJitter,
    IdentitySwap,
    LateStart,
    NoJitter,
    NoMasking,
    NoSwap,
    SegmentMasking,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_masking_keeps_the_first_the_last_and_some_between():
    random, seen = rng(), np.zeros(8)
    for _ in range(3000):
        kept = SegmentMasking(8).draw(8, 4, random)
        assert (len(kept), kept[0], kept[-1]) == (4, 0, 7)
        assert (np.diff(kept) > 0).all()
        seen[kept] += 1
    assert seen[1:7] / 3000 == pytest.approx(np.full(6, 2 / 6), abs=0.03)  # each with the same chance


@pytest.mark.parametrize(
    ("length", "frames", "kept"),
    [(8, 1, [7]), (8, 2, [0, 7]), (4, 4, [0, 1, 2, 3]), (1, 1, [0]), (2, 2, [0, 1]), (3, 3, [0, 1, 2])],
)
def test_masking_where_nothing_is_left_to_draw(length, frames, kept):
    assert SegmentMasking(8).draw(length, frames, rng()).tolist() == kept


def test_span_is_the_configured_one_and_at_least_a_window():
    assert SegmentMasking(8).length(4) == 8
    assert SegmentMasking(4).length(4) == 4
    assert NoMasking().length(4) == 4
    with pytest.raises(ConfigError, match="span is 3 with windows of 4"):
        SegmentMasking(3).length(4)
    with pytest.raises(ConfigError, match="span is 0"):
        SegmentMasking(0)


def test_share_of_the_windows_is_masked_and_the_others_are_the_last_observations():
    random, masking = rng(), SegmentMasking(6, probability=0.25)
    drawn = [masking.draw(6, 4, random) for _ in range(2000)]
    masked = [kept[0] == 0 for kept in drawn]
    assert 0.22 < np.mean(masked) < 0.28
    assert all(kept.tolist() == [2, 3, 4, 5] for kept, hit in zip(drawn, masked, strict=True) if not hit)
    assert all(kept[-1] == 5 and len(kept) == 4 for kept in drawn)
    assert SegmentMasking(6).draw(6, 4, rng()).tolist() == SegmentMasking(6, 1.0).draw(6, 4, rng()).tolist()


@pytest.mark.parametrize("probability", [-0.1, 1.1, "often", True, None])
def test_a_share_that_is_none_is_refused(probability):
    with pytest.raises(ConfigError, match="masking"):
        SegmentMasking(6, probability)


def test_without_masking_all_are_kept():
    assert NoMasking().draw(4, 4, rng()).tolist() == [0, 1, 2, 3]


def test_jitter_moves_centre_and_size_by_a_fiftieth_of_the_size():
    boxes = np.tile([0.1, 0.3, 0.5, 0.4], (100_000, 1))  # width 0.4, height 0.1, centre (0.3, 0.35)
    out = GaussianJitter(0.02)(boxes, rng())
    centre, size = (out[:, :2] + out[:, 2:]) / 2, out[:, 2:] - out[:, :2]
    assert centre.mean(0) == pytest.approx([0.3, 0.35], abs=2e-4)
    assert size.mean(0) == pytest.approx([0.4, 0.1], abs=2e-4)
    assert centre.std(0) == pytest.approx([0.008, 0.002], rel=0.02)
    assert size.std(0) == pytest.approx([0.008, 0.002], rel=0.02)
    four = np.concatenate([centre, size], 1)
    assert np.abs(np.corrcoef(four.T) - np.eye(4)).max() < 0.02  # independent of each other


def test_jitter_keeps_shape_and_never_turns_a_box_over():
    boxes = np.tile([0.1, 0.3, 0.5, 0.4], (3, 500, 1))
    out = GaussianJitter(2.0)(boxes, rng())
    assert out.shape == (3, 500, 4)
    assert (out[..., 2:] - out[..., :2] > -1e-12).all()
    assert np.array_equal(NoJitter()(boxes, rng()), boxes)
    assert np.abs(GaussianJitter(0.0)(boxes, rng()) - boxes).max() < 1e-15
    with pytest.raises(ConfigError, match="scale is -1"):
        GaussianJitter(-1)


def test_swapped_observations_are_of_different_windows():
    random = rng()
    for _ in range(300):
        pairs = IdentitySwap(0.5, None)(5, 4, random)
        places = [k for pair in pairs for k in pair]
        assert len(set(places)) == len(places)  # each in one pair at most
        assert all(0 <= k < 20 for k in places)
        assert all(a // 4 != b // 4 for a, b in pairs)


@pytest.mark.parametrize("limit", [1, 2])
def test_number_of_swaps_is_limited(limit):
    random = rng()
    counts = [len(IdentitySwap(0.5, limit)(5, 4, random)) for _ in range(300)]
    assert max(counts) == limit


def test_default_swaps_at_most_one_pair_with_a_tenth_of_the_observations_picked():
    swap = IdentitySwap()
    assert (swap.probability, swap.max_pairs) == (0.1, 1)
    random, times = rng(), 20000
    swapped = sum(len(swap(2, 1, random)) for _ in range(times)) / times
    assert swapped == pytest.approx(0.01, abs=0.003)  # both of two windows of one observation are picked: 0.1^2


def test_no_limit_pairs_until_one_window_is_left():
    for seed in range(50):
        pairs = IdentitySwap(1.0, None)(4, 3, rng(seed))
        left = set(range(12)) - {k for pair in pairs for k in pair}
        assert len({k // 3 for k in left}) <= 1
    assert IdentitySwap(1.0, None)(1, 8, rng()) == []  # one window has no other
    assert IdentitySwap(0.0, None)(4, 4, rng()) == []
    assert IdentitySwap(1.0, 0)(4, 4, rng()) == []
    assert NoSwap()(4, 4, rng()) == []


def test_any_two_observations_of_different_windows_may_be_swapped():
    random, pairs = rng(), set()
    for _ in range(2000):
        pairs |= {tuple(sorted(p)) for p in IdentitySwap(0.3, 1)(3, 2, random)}
    assert pairs == {(a, b) for a in range(6) for b in range(a + 1, 6) if a // 2 != b // 2}


def test_impossible_probability_is_refused():
    with pytest.raises(ConfigError, match=r"probability is 1\.5"):
        IdentitySwap(1.5)


def test_a_late_start_repeats_the_first_observation_that_is_left():
    rows = np.arange(4000).reshape(1000, 4)
    late = LateStart(0.3)(rows, rng())
    first = (late == late[:, :1]).sum(1) - 1  # observations that are missing
    for k in range(4):
        assert (late[first == k] == np.maximum(rows[first == k], rows[first == k, k : k + 1])).all()
    share = np.bincount(first, minlength=4) / 1000
    assert share == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=0.04)
    assert (LateStart(0.0)(rows, rng()) == rows).all()
    assert (LateStart(1.0)(rows[:, :1], rng()) == rows[:, :1]).all()  # T = 1
    with pytest.raises(ConfigError, match=r"perturbation.start.probability is -1"):
        LateStart(-1)
