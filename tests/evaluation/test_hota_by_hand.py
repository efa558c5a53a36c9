"""Scores of sequences small enough to be worked out on paper."""

import numpy as np
import pytest
from evaluation_worlds import boxes, track

from flexhook.errors import ConfigError
from flexhook.evaluation.jobs import ENGINES, Job, statistics
from flexhook.evaluation.statistics import ALPHAS, CURVES, METRICS, Statistics

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def evaluate(engine, truth, predicted):
    truth, predicted = boxes(*truth), boxes(*predicted)
    job = Job(truth, predicted, [np.arange(len(truth))], [np.arange(len(predicted))])
    (out,) = statistics([job], engine=engine)
    return out


def scores(engine, truth, predicted):
    return {name: values[0] for name, values in evaluate(engine, truth, predicted).per_sequence().items()}


def test_the_truth_itself_scores_one_everywhere(engine):
    truth = track(1, range(5)) + track(2, range(3), x=40)
    found = scores(engine, truth, truth)
    assert list(found) == list(METRICS)
    assert found == pytest.approx(dict.fromkeys(METRICS, 1.0), abs=1e-12)


def test_an_overlap_of_exactly_one_half_counts_up_to_the_threshold_one_half(engine):
    """IoU 100 / 200: matched at 10 of the 19 thresholds, 0.05 to 0.5, and by CLEAR and Identity."""
    found = scores(engine, track(1, range(4), width=20), track(9, range(4), width=10))
    assert found["HOTA"] == pytest.approx(10 / 19, abs=1e-12)
    assert found["LocA"] == pytest.approx((10 * 0.5 + 9 * 1) / 19, abs=1e-12)
    assert found["MOTA"] == found["IDF1"] == 1


def test_a_track_broken_in_half_halves_the_association(engine):
    found = scores(engine, track(1, range(4)), track(1, [0, 1]) + track(2, [2, 3]))
    assert found["DetA"] == found["DetRe"] == found["DetPr"] == 1
    assert found["AssA"] == found["AssRe"] == pytest.approx(0.5, abs=1e-12)
    assert found["AssPr"] == 1
    assert found["HOTA"] == pytest.approx(np.sqrt(0.5), abs=1e-12)
    assert found["MOTA"] == pytest.approx(1 - 1 / 4)
    assert found["IDF1"] == pytest.approx(0.5)


def test_two_objects_joined_by_one_track_halve_the_association_precision(engine):
    found = scores(engine, track(1, [0, 1]) + track(2, [2, 3], x=50), track(8, [0, 1]) + track(8, [2, 3], x=50))
    assert found["AssRe"] == 1
    assert found["AssPr"] == found["AssA"] == pytest.approx(0.5, abs=1e-12)
    assert found["MOTA"] == 1


def test_misses_and_false_alarms_are_in_detection(engine):
    """6 true boxes, 4 predicted on them, 2 elsewhere: DetA 4 / 8."""
    found = scores(engine, track(1, range(6)), track(1, range(4)) + track(2, range(2), x=60))
    assert found["DetA"] == pytest.approx(4 / 8)
    assert found["DetRe"] == found["DetPr"] == pytest.approx(4 / 6)
    assert found["AssA"] == pytest.approx(4 / 6)
    assert found["HOTA"] == pytest.approx(np.sqrt(4 / 8 * 4 / 6), abs=1e-12)
    assert found["MOTA"] == pytest.approx((4 - 2) / 6)
    assert found["IDF1"] == pytest.approx(4 / 6)


def test_a_match_of_the_frame_before_is_kept_over_a_better_overlap(engine):
    """CLEAR: the crossing box overlaps more in frame 1, the old one still at 0.5 or more: no switch."""
    truth = track(1, [0, 1])
    predicted = [(0, 5, 0, 0, 10, 10), (1, 5, 2, 0, 12, 10), (1, 6, 1, 0, 11, 10)]
    found = evaluate(engine, truth, predicted)
    assert found.switches[0] == 0
    assert found.clear_matches[0] == 2
    assert found.identity_matches[0] == 2


def test_a_match_of_the_frame_before_is_kept_while_others_compete(engine):
    """As before, and two boxes on another object leave a choice to make in the same frame: the greater overlap."""
    truth = [*track(1, [0, 1]), *track(2, [1], x=50)]
    predicted = [(0, 5, 0, 0, 10, 10), (1, 5, 2, 0, 12, 10), (1, 6, 1, 0, 11, 10)]
    predicted += [(1, 7, 52, 0, 62, 10), (1, 8, 51, 0, 61, 10), (2, 8, 51, 0, 61, 10)]
    found = evaluate(engine, [*truth, *track(2, [2], x=50)], predicted)
    assert found.clear_matches[0] == 4
    assert found.switches[0] == 0


def test_the_frame_before_is_the_last_one_with_boxes_of_both_kinds(engine):
    """Frame 1 has no prediction and frame 2 no truth: the match of frame 0 still counts as that of the frame before."""
    truth = track(1, [0, 1, 3])
    predicted = [(0, 5, 0, 0, 10, 10), (2, 6, 0, 0, 10, 10), (3, 5, 2, 0, 12, 10), (3, 6, 1, 0, 11, 10)]
    found = evaluate(engine, truth, predicted)
    assert found.switches[0] == 0


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        # nothing predicted, nothing there, nothing overlaps
        (track(1, range(3)), [], {"LocA": 1.0}),
        ([], track(1, range(3)), {"LocA": 1.0}),
        ([], [], {"LocA": 1.0}),
        (track(1, range(3)), track(1, range(3), x=70), {"LocA": 1.0, "MOTA": -1.0}),
    ],
)
def test_sequences_without_a_match(engine, truth, predicted, expected):
    assert scores(engine, truth, predicted) == dict.fromkeys(METRICS, 0.0) | expected


def test_boxes_without_an_area_overlap_nothing(engine):
    flat = [(0, 1, 5, 0, 5, 10)]
    assert scores(engine, flat, flat)["HOTA"] == 0


def test_boxes_smaller_than_rounding_overlap_nothing(engine):
    """TrackEval's limit: areas up to 2.2e-16 pixels count as none."""
    tiny = [(0, 1, 0, 0, 1e-9, 1e-9)]
    assert scores(engine, tiny, tiny)["HOTA"] == 0


def test_boxes_over_the_border_and_far_apart_frames(engine):
    truth = [(0, 1, -30, -20, 10, 10), (10**9, 1, -30, -20, 10, 10)]
    assert scores(engine, truth, truth)["HOTA"] == pytest.approx(1)


def test_pooled_scores_add_up_before_they_divide(engine):
    """A long sequence answered fully and a short one not at all: pooled DetA 8 / 10, mean HOTA 1 / 2, one of HOTA 0."""
    truth = boxes(*track(1, range(8)), *track(2, range(2), x=50))
    rows = [np.arange(8), np.arange(8, 10)]
    (found,) = statistics([Job(truth, truth, rows, [rows[0], rows[1][:0]])], engine=engine)
    pooled = found.pooled()
    assert pooled["DetA"] == pytest.approx(0.8)
    assert pooled["AssA"] == pytest.approx(1)
    assert pooled["HOTA"] == pytest.approx(np.sqrt(0.8))
    assert pooled["MOTA"] == pytest.approx(0.8)
    assert pooled["IDF1"] == pytest.approx(16 / 18)
    assert found.mean_hota() == pytest.approx(0.5)
    assert found.zero_hota() == 1


def test_false_answers_to_an_expression_without_referents_cost_pooled_precision(engine):
    truth = boxes(*track(1, range(8)))
    (found,) = statistics([Job(truth, truth, [np.arange(8), np.arange(0)], [np.arange(8)] * 2)], engine=engine)
    assert found.pooled()["DetPr"] == pytest.approx(0.5)
    assert found.pooled()["MOTA"] == pytest.approx(0)
    assert found.per_sequence()["HOTA"].tolist() == pytest.approx([1, 0])
    assert found.per_sequence()["MOTA"].tolist() == [1, 0]


def test_curves_fall_where_the_overlap_ends(engine):
    found = evaluate(engine, track(1, range(4), width=20), track(9, range(4), width=16))
    for name in CURVES:
        reached = ALPHAS < 0.801  # IoU 0.8
        expected = np.where(reached, 0.8, 1) if name == "LocA" else reached.astype(float)
        np.testing.assert_allclose(found.curves()[name][0], expected, atol=1e-12)


def test_unknown_engines_and_process_numbers_are_refused(engine):
    with pytest.raises(ConfigError, match=r"'slow' is unknown.*fast, trackeval"):
        list(statistics([], engine="slow"))
    with pytest.raises(ConfigError, match="at least 1"):
        list(statistics([], engine=engine, processes=0))


def test_no_sequences_at_all(engine):
    (found,) = statistics([Job(boxes(), boxes(), [], [])], engine=engine)
    assert len(found) == 0 and len(Statistics.concatenate([])) == 0
