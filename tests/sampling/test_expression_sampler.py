"""Which expressions a training window is asked about."""

import numpy as np
import pytest

from flexhook.errors import ConfigError
from flexhook.sampling.expression_sampler import ExpressionSampler


def draws(sampler, positive, total, times=400):
    rng = np.random.default_rng(0)
    return [sampler.draw(np.array(positive, int), total, rng) for _ in range(times)]


def test_labels_tell_positives_from_negatives():
    for chosen, label in draws(ExpressionSampler(8, 4), [1, 5, 7, 11, 12, 13], 30, 100):
        assert chosen.shape == label.shape == (8,)
        assert chosen.dtype == label.dtype == np.int64
        assert np.isin(chosen, [1, 5, 7, 11, 12, 13]).astype(int).tolist() == label.tolist()
        assert chosen.min() >= 0
        assert chosen.max() < 30


def test_number_of_positives_is_exact_without_noise():
    for _, label in draws(ExpressionSampler(36, 24, noisy=False), range(50), 120, 20):
        assert label.sum() == 24


def test_number_of_positives_has_rounded_standard_normal_noise():
    counts = np.array([label.sum() for _, label in draws(ExpressionSampler(36, 24), range(50), 120, 4000)])
    assert counts.mean() == pytest.approx(24, abs=0.06)
    assert counts.std() == pytest.approx(np.sqrt(1 + 1 / 12), abs=0.05)  # rounding adds a twelfth to the variance
    assert np.mean(counts == 24) == pytest.approx(0.3829, abs=0.03)  # P(|N(0,1)| < 0.5)


def test_noise_never_leaves_the_range():
    assert {label.sum() for _, label in draws(ExpressionSampler(3, 3), range(9), 30)} <= {0, 1, 2, 3}
    counts = {int(label.sum()) for _, label in draws(ExpressionSampler(3, 0), range(9), 30)}
    assert min(counts) == 0
    assert max(counts) >= 1


def test_nothing_is_drawn_twice_where_there_is_enough():
    for chosen, _ in draws(ExpressionSampler(10, 4, noisy=False), range(4), 10, 50):  # exactly enough of both
        assert sorted(chosen) == list(range(10))


@pytest.mark.parametrize(
    ("positive", "total", "positives", "negatives"),
    [
        ([0, 1], 40, {0, 1}, None),  # 2 positives for 4 places: repeated; the negatives are not
        (list(range(38)), 40, None, {38, 39}),  # the other way round
    ],
)
def test_replacement_only_where_there_are_too_few(positive, total, positives, negatives):
    for chosen, label in draws(ExpressionSampler(8, 4, noisy=False), positive, total, 50):
        assert label.sum() == 4
        few, many = (chosen[label == 1], chosen[label == 0]) if positives else (chosen[label == 0], chosen[label == 1])
        assert set(few) <= (positives or negatives)
        assert len(set(many)) == 4


def test_window_without_positives_has_negatives_only():
    for chosen, label in draws(ExpressionSampler(6, 4), [], 20, 30):
        assert label.sum() == 0
        assert len(set(chosen)) == 6


def test_window_without_negatives_has_positives_only():
    for chosen, label in draws(ExpressionSampler(6, 4), range(3), 3, 30):
        assert label.tolist() == [1] * 6
        assert set(chosen) <= {0, 1, 2}


def test_video_with_fewer_expressions_than_a_window_wants():
    for chosen, label in draws(ExpressionSampler(36, 24, noisy=False), [1], 3, 30):
        assert label.sum() == 24
        assert set(chosen[:24]) == {1}
        assert set(chosen[24:]) == {0, 2}


def test_every_expression_has_its_chance():
    every = np.concatenate([chosen for chosen, _ in draws(ExpressionSampler(4, 2, noisy=False), range(6), 12, 2000)])
    assert np.bincount(every, minlength=12) / len(every) == pytest.approx(np.full(12, 1 / 12), abs=0.015)


@pytest.mark.parametrize(("count", "positives"), [(4, 5), (4, -1)])
def test_impossible_numbers_are_refused(count, positives):
    with pytest.raises(ConfigError, match=f"{positives} positives of {count}"):
        ExpressionSampler(count, positives)
