"""The bootstrap over expressions covers what it should, pairs runs, and is the same for the same seed."""

import numpy as np
import pytest
from evaluation_worlds import boxes, scores, track, track_set, video

from flexhook.errors import InputError
from flexhook.evaluation.bootstrap import aligned, paired_difference, score_intervals
from flexhook.evaluation.evaluator import evaluate_videos
from flexhook.evaluation.jobs import Job, statistics
from flexhook.evaluation.statistics import Statistics


def run(found):
    """Sequences of one standing object of ten frames, of which the first ``found[s]`` are found: HOTA is found / 10."""
    truth = boxes(*track(1, range(10)))
    job = Job(truth, truth, [np.arange(10)] * len(found), [np.arange(count) for count in found])
    (out,) = statistics([job])
    return out


def test_scores_of_the_sequences_themselves():
    a = run([2, 4, 9])
    assert a.per_sequence()["HOTA"] == pytest.approx([0.2, 0.4, 0.9])
    found = score_intervals([a])
    assert found.mean_over_expressions.value == pytest.approx(50)
    assert found.pooled.value == pytest.approx(100 * a.pooled()["HOTA"])
    assert found.pooled.low < found.pooled.value < found.pooled.high


def test_equal_sequences_have_no_spread_and_equal_runs_no_difference():
    found = score_intervals([run([5] * 6)])
    assert (found.pooled.low, found.pooled.high) == pytest.approx((50, 50))
    a = run([1, 5, 9, 3])
    difference = paired_difference([a], [a])
    for part in (difference.pooled, difference.mean_over_expressions):
        assert (part.value, part.low, part.high) == (0, 0, 0)
        assert not part.resolved


def test_a_constant_gain_is_resolved_however_different_the_expressions_are():
    """Pairing: scores spread over 0.8, every expression gains 0.1."""
    base = run([1, 2, 4, 6, 8, 9] * 5)
    better = run([2, 3, 5, 7, 9, 10] * 5)
    found = paired_difference([better], [base])
    mean = found.mean_over_expressions
    assert (mean.value, mean.low, mean.high) == pytest.approx((10, 10, 10))
    assert mean.resolved and found.pooled.resolved
    assert score_intervals([base]).mean_over_expressions.high - score_intervals([base]).mean_over_expressions.low > 15
    assert str(mean) == "10.00 [10.00, 10.00]"


def test_the_interval_is_that_of_the_normal_approximation():
    found = np.random.default_rng(0).integers(0, 11, 200)
    interval = score_intervals([run(found)], draws=4000).mean_over_expressions
    error = 1.96 * 10 * found.std() / np.sqrt(len(found))
    assert interval.high - interval.low == pytest.approx(2 * error, rel=0.08)
    narrow = score_intervals([run(found)], level=0.5).mean_over_expressions
    assert narrow.high - narrow.low == pytest.approx(2 * error * 0.6745 / 1.96, rel=0.12)


def test_resampled_pooled_scores_are_those_of_the_repeated_sequences():
    a = run([1, 5, 9, 3])
    weights = np.array([[2, 0, 1, 1], [0, 0, 0, 4], [1, 1, 1, 1]])
    resampled = a.resampled(weights)
    for r, row in enumerate(weights):
        again = a.select(np.repeat(np.arange(4), row)).pooled()
        assert {name: values[r] for name, values in resampled.items()} == pytest.approx(again)


def test_seeds_are_averaged_within_each_draw():
    one, other = run([2, 8]), run([4, 6])
    found = paired_difference([one, other], [one])
    assert found.mean_over_expressions.value == pytest.approx(0)
    assert score_intervals([one, other]).pooled.value == pytest.approx(50 * (one.pooled()["HOTA"] + other.pooled()["HOTA"]))


def test_the_same_seed_gives_the_same_interval():
    a = run([1, 5, 9, 3])
    assert score_intervals([a], seed=3) == score_intervals([a], seed=3)
    assert score_intervals([a], seed=3, draws=50) != score_intervals([a], seed=4, draws=50)


def test_runs_that_do_not_fit_are_refused():
    a, b = run([1, 2]), run([1, 2, 3])
    with pytest.raises(InputError, match=r"\[2, 3\] sequences"):
        paired_difference([a], [b])
    with pytest.raises(InputError, match="no baseline"):
        paired_difference([a], [])
    with pytest.raises(InputError, match=r"\[0\] sequences"):
        score_intervals([Statistics.zeros(0)])


def test_runs_are_aligned_by_video_and_expression():
    def evaluation(names):
        of = video(track(1, range(4)), {name: range(4) for name in names})
        return evaluate_videos([(of, scores(of, track_set(track(1, range(4))), np.ones((4, len(names)))))])

    first, other = aligned([evaluation(["a", "b", "c"]), evaluation(["c", "x", "b"])])
    assert [info.slug for info in first.sequences] == [info.slug for info in other.sequences] == ["b", "c"]
    with pytest.raises(InputError, match="in common"):
        aligned([evaluation(["a"]), evaluation(["b"])])
