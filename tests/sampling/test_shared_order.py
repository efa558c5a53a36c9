"""Windows of a clip that draw by one random order: each as usual, together fewer sentences."""

import numpy as np
import pytest
from tiny_video import make_video

from flexhook.sampling.expression_sampler import ExpressionSampler
from flexhook.sampling.items import ClipItems
from flexhook.sampling.perturbations import NoJitter, NoMasking

TOTAL, POSITIVE = 120, np.arange(20, 60)


def counts(shared, times=3000):
    """How often each expression is drawn, and how often each pair (20, k)."""
    sampler, rng = ExpressionSampler(36, 24, noisy=False), np.random.default_rng(0)
    drawn = np.zeros((times, TOTAL), bool)
    for row in drawn:
        row[sampler.draw(POSITIVE, TOTAL, rng, rng.permutation(TOTAL) if shared else None)[0]] = True
    return drawn.mean(0), (drawn[:, 20, None] & drawn).mean(0)


def test_one_window_draws_as_without_the_order():
    """24 of 40 positives and 12 of 80 negatives, each subset as likely as another: single and pair frequencies."""
    single, pair = counts(shared=True)
    likely = np.where(np.isin(np.arange(TOTAL), POSITIVE), 24 / 40, 12 / 80)
    assert np.abs(single - likely).max() < 0.04
    pairs = np.where(np.isin(np.arange(TOTAL), POSITIVE), 24 / 40 * 23 / 39, 24 / 40 * 12 / 80)
    pairs[20] = 24 / 40
    assert np.abs(pair - pairs).max() < 0.04
    assert np.abs(single - counts(shared=False)[0]).max() < 0.05


def test_labels_and_repeats_are_as_without_the_order():
    sampler, rng = ExpressionSampler(12, 8, noisy=False), np.random.default_rng(1)
    chosen, label = sampler.draw(np.array([3, 7]), 30, rng, rng.permutation(30))
    assert label.tolist() == [1] * 8 + [0] * 4
    assert set(chosen[:8].tolist()) <= {3, 7}  # too few positives: repeated
    assert len(set(chosen[8:].tolist()) - {3, 7}) == 4  # enough negatives: not repeated


@pytest.fixture(scope="module")
def video():
    """Six objects that are there all the time, of two kinds; 60 sentences, half of them for each kind."""
    spans = {k: range(8) for k in range(6)}
    referents = [lambda f, i, s=s: i % 2 == s % 2 for s in range(60)]
    return make_video(spans, [f"sentence {s}" for s in range(60)], referents)


def items(video, shared):
    sampler = ExpressionSampler(16, 10, noisy=False)
    return ClipItems([video], 4, 1, NoMasking(), sampler, NoJitter(), False, 0, shared_order=shared)


def test_windows_of_a_kind_draw_the_same_sentences(video):
    item = items(video, shared=True)[0, 5]
    assert item.expression.shape == (6, 16)
    drawn = [set(row.tolist()) for row in item.expression]
    assert drawn[0] == drawn[2] == drawn[4] != drawn[1] == drawn[3] == drawn[5]
    odd = item.expression % 2 == np.arange(6)[:, None] % 2
    assert np.array_equal(odd, item.label == 1)
    assert item.label.sum(1).tolist() == [10] * 6


def test_a_clip_needs_fewer_sentences_and_another_epoch_draws_anew(video):
    def different(shared):
        return np.mean([len(np.unique(items(video, shared)[epoch, 5].expression)) for epoch in range(20)])

    assert different(True) <= 20  # ten of each kind, which are the other kind's negatives too
    assert different(False) > 40
    clips = items(video, True)
    assert not np.array_equal(clips[0, 5].expression, clips[1, 5].expression)
    assert np.array_equal(clips[0, 5].expression, items(video, True)[0, 5].expression)
