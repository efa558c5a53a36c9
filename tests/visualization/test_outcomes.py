import numpy as np
import pytest

from flexhook.structures import Expression, TrackSet, Video, make_labels
from flexhook.structures.result_files import PairResults
from flexhook.visualization.outcomes import ScoredExpression


def one_frame(truth, tracks, accepted, referents=None):
    """A video of one frame: true boxes, all or some of them referred to, tracker boxes, which of them are accepted."""
    referents = range(len(truth)) if referents is None else referents
    truth = TrackSet.build([0] * len(truth), range(len(truth)), truth)
    tracks = TrackSet.build([0] * len(tracks), range(len(tracks)), tracks)
    logits = np.zeros((len(tracks), 1, 2), np.float32)
    logits[:, 0, 1] = np.where(accepted, 2, -2)
    expressions = (Expression("cars", "cars"),)
    labels = make_labels(list(referents), [0] * len(referents), (len(truth), 1))
    video = Video("v", (100, 100), [None], truth, expressions, labels)
    return ScoredExpression.of(video, PairResults("v", tracks, expressions, logits)[0])


BOX = (0, 0, 10, 10)
HALF_OFF = (0, 0, 10, 5)  # IoU with BOX is exactly 0.5
OFF = (0, 0, 10, 4.9)
FAR = (50, 50, 60, 60)


@pytest.mark.parametrize(
    ("truth", "tracks", "accepted", "correct", "false", "missed", "rejected"),
    [
        ([BOX], [BOX], [True], [0], [], [], []),
        ([BOX], [HALF_OFF], [True], [0], [], [], []),  # the threshold itself counts
        ([BOX], [OFF], [True], [], [0], [0], [-1]),
        ([BOX], [BOX], [False], [], [], [0], [0]),  # the tracker had it, the model said no
        ([BOX], [FAR], [False], [], [], [0], [-1]),  # the tracker did not have it
        ([BOX], [BOX, BOX], [True, True], [0], [1], [], []),  # one referent is covered once
        ([BOX], [], [], [], [], [0], [-1]),
        ([], [BOX], [True], [], [0], [], []),
        # box 0 fits both, box 1 only the first: both referents are found, though box 0 fits the first better
        ([BOX, (0, 0, 10, 6)], [(0, 0, 10, 9), (0, 0, 10, 14)], [True, True], [0, 1], [], [], []),
    ],
)
def test_boxes_and_referents_are_paired_one_to_one(truth, tracks, accepted, correct, false, missed, rejected):
    found = one_frame(np.reshape(truth, (-1, 4)), np.reshape(tracks, (-1, 4)), accepted)
    if not len(truth):  # a video with other truth, so that there is ground truth at all
        found = one_frame([FAR], np.reshape(tracks, (-1, 4)), accepted, referents=[])
    outcome = found.at(0)
    assert outcome.correct.tolist() == correct
    assert outcome.false_alarm.tolist() == false
    assert outcome.missed.tolist() == missed
    assert outcome.rejected.tolist() == rejected
    assert len(outcome.found) == len(correct)


def test_probability_is_the_softmax_and_survives_large_logits():
    scored = one_frame([BOX], [BOX, FAR], [True, False])
    np.testing.assert_allclose(scored.probability, [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])
    logits = np.array([[[-2e3, 2e3]], [[2e3, -2e3]]], np.float32)
    huge = PairResults("v", scored.tracks, scored.video.expressions, logits)
    assert ScoredExpression.of(scored.video, huge[0]).probability.tolist() == [1, 0]


def test_equal_logits_are_not_accepted():
    scored = one_frame([BOX], [BOX], [True])
    level = PairResults("v", scored.tracks, scored.video.expressions, np.zeros((1, 1, 2), np.float32))
    assert not ScoredExpression.of(scored.video, level[0]).accepted.any()


def test_labels_are_found_by_slug_not_by_place(video, scores):
    shuffled = PairResults(video.name, scores.tracks, scores.expressions[::-1], scores.logits[:, ::-1])
    scored = ScoredExpression.of(video, shuffled[2])
    assert scored.expression.sentence == "red cars"
    assert set(video.truth.identity[scored.referent]) == {1, 2}
    assert scored.at(0).correct.tolist() == ScoredExpression.of(video, scores[0]).at(0).correct.tolist()


def test_without_ground_truth_every_accepted_box_is_shown_and_nothing_is_judged(video, scores):
    unknown = Video("x", video.size, video.frames, TrackSet.empty(), (), make_labels([], [], (0, 0)))
    outcome = ScoredExpression.of(unknown, scores[0]).at(0)
    assert scores.tracks.identity[outcome.correct].tolist() == [11, 13]
    assert not len(outcome.false_alarm) and not len(outcome.missed) and len(outcome.other) == 2


def test_an_expression_without_referents_has_ground_truth(video, scores):
    scored = ScoredExpression.of(video, scores[2])
    assert scored.referent is not None and not scored.referent.any()


def test_eventful_frames_hold_referents_or_accepted_boxes_inside_the_video():
    truth = TrackSet.build([1, 9], [1, 1], [BOX, BOX])
    tracks = TrackSet.build([3, 5, 12], [1, 1, 1], [BOX] * 3)
    logits = np.array([[[0, 1]], [[1, 0]], [[0, 1]]], np.float32)
    expressions = (Expression("cars", "cars"),)
    video = Video("v", (100, 100), [None] * 10, truth, expressions, make_labels([0, 1], [0, 0], (2, 1)))
    scored = ScoredExpression.of(video, PairResults("v", tracks, expressions, logits)[0])
    assert scored.eventful_frames().tolist() == [1, 3, 9]


def test_without_any_event_all_frames_are_shown(video, scores):
    assert ScoredExpression.of(video, scores[2]).eventful_frames().tolist() == [0, 1, 2, 3]
