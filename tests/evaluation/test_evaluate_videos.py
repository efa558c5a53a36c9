"""Model, oracle and accept-all side by side, subsets, tables and files of an evaluation."""

import csv

import numpy as np
import pytest
from evaluation_worlds import scores, track, track_set, video

from flexhook.errors import InputError
from flexhook.evaluation.evaluation import Evaluation
from flexhook.evaluation.evaluator import evaluate_videos
from flexhook.evaluation.oracle import oracle_labels
from flexhook.evaluation.overlaps import Boxes, Overlaps
from flexhook.evaluation.statistics import METRICS, Statistics
from flexhook.structures import Expression, TrackSet
from flexhook.structures.result_files import PairResults

UNSEEN = Expression("red cars", "red-cars", ("unseen_combination",))
PARAPHRASE = Expression("scarlet autos turning left", "scarlet-autos", ("unseen_paraphrase",))
PLAIN = Expression("people", "people")


@pytest.fixture
def scene():
    """Two cars of 4 frames and a person of 2; a tracker that finds one car, half of the other, and a ghost.

    Rows of the truth: car 1 at 0, 2, 4, 6, car 2 at 1, 3, 5, 7, the person at 8 and 9. Sorted by frame the person of
    frames 4 and 5 comes last. Rows of the tracks: car 1 at 0, 2, 4, 6, ghosts at 1 and 3, car 2 at 5 and 7.
    """
    truth = track(1, range(4)) + track(2, range(4), x=30) + track(3, [4, 5], x=60)
    tracks = track_set(track(11, range(4)) + track(12, [0, 1], x=80) + track(13, [2, 3], x=32))
    both, first = list(range(8)), [0, 2, 4, 6]
    return video(truth, {UNSEEN: first, PARAPHRASE: both, PLAIN: [8, 9]}), tracks


def accepted(tracks, *identities):
    """(n, E): per expression the identities that are accepted."""
    return np.stack([np.isin(tracks.identity, chosen) for chosen in identities], axis=1)


@pytest.fixture
def evaluation(scene):
    """The model takes the right car for the first, the ghost too for the second, and a car for people."""
    of, tracks = scene
    return evaluate_videos([(of, scores(of, tracks, accepted(tracks, [11], [11, 12], [13])))])


def test_the_oracle_gives_each_box_the_labels_of_the_truth_it_overlaps(scene):
    of, tracks = scene
    labels = oracle_labels(Overlaps(Boxes.of(of.truth), Boxes.of(tracks)), of.labels)
    np.testing.assert_array_equal(labels, accepted(tracks, [11], [11, 13], []))


def test_the_oracle_matches_one_to_one_for_the_greatest_total_overlap():
    """Both boxes overlap truth 1 best, only the first overlaps truth 2 enough: it goes there, for the sum's sake."""
    of = video([(0, 1, 0, 0, 10, 10), (0, 2, 3, 0, 13, 10)], {"one": [0], "two": [1]})
    tracks = track_set([(0, 5, 1.4, 0, 11.4, 10), (0, 6, -1, 0, 9, 10)])
    labels = oracle_labels(Overlaps(Boxes.of(of.truth), Boxes.of(tracks)), of.labels)
    assert labels.tolist() == [[False, True], [True, False]]


def test_the_oracle_needs_an_overlap_of_one_half():
    of = video([(0, 1, 0, 0, 20, 10), (1, 1, 0, 0, 20, 10)], {"one": [0, 1]})
    tracks = track_set([(0, 5, 0, 0, 10, 10), (1, 5, 0, 0, 9.99, 10)])
    labels = oracle_labels(Overlaps(Boxes.of(of.truth), Boxes.of(tracks)), of.labels)
    assert labels.tolist() == [[True], [False]]


def test_model_oracle_and_accept_all_by_hand(evaluation):
    """Accept-all's predictions are 8 boxes per expression; the oracle's cars are found as far as they are tracked."""
    model, oracle, everything = evaluation.model, evaluation.oracle, evaluation.accept_all
    assert model.predicted.tolist() == [4, 6, 2]
    assert oracle.predicted.tolist() == [4, 6, 0]
    assert everything.predicted.tolist() == [8, 8, 8]
    assert model.truth.tolist() == oracle.truth.tolist() == everything.truth.tolist() == [4, 8, 2]
    assert model.matches[:, 0].tolist() == [4, 4, 0]
    assert oracle.matches[:, 0].tolist() == [4, 6, 0]
    assert everything.matches[:, 0].tolist() == [4, 6, 0]
    hota = model.per_sequence()["HOTA"]
    assert hota == pytest.approx([1, np.sqrt(4 / 10), 0])


def test_metrics_have_the_names_and_scale_of_the_contract(evaluation):
    found = evaluation.metrics()
    assert all(isinstance(value, float) for value in found.values())
    for answer, part in (
        ("test", evaluation.model),
        ("oracle", evaluation.oracle),
        ("accept_all", evaluation.accept_all),
    ):
        pooled = part.pooled()
        for name in METRICS:
            assert found[f"{answer}/{name}"] == pytest.approx(100 * pooled[name])
        assert found[f"{answer}/HOTA_mean_over_expressions"] == pytest.approx(100 * part.mean_hota())
        assert found[f"{answer}/zero_HOTA_expressions"] == 1
    assert found["test/expressions"] == 3
    assert found["test/expressions_without_referents"] == 0
    assert found["test/HOTA_mean_over_expressions"] == pytest.approx(100 * (1 + np.sqrt(0.4)) / 3)
    assert found["test/unseen_combination/HOTA"] == pytest.approx(100)
    assert found["test/unseen_paraphrase/HOTA"] == pytest.approx(100 * np.sqrt(0.4))
    assert found["test/unseen/expressions"] == 2
    assert found["test/unseen/HOTA"] == pytest.approx(100 * evaluation.model.select([0, 1]).pooled()["HOTA"])
    assert found["oracle/unseen/HOTA"] > found["test/unseen/HOTA"] > found["accept_all/unseen/HOTA"]
    assert found["test/group/colour/expressions"] == 2
    assert found["test/group/class/expressions"] == 3
    assert found["test/group/motion/HOTA"] == found["test/group/side/HOTA"] == pytest.approx(100 * np.sqrt(0.4))
    assert "test/group/distance/HOTA" not in found
    assert "val/HOTA" in evaluation.metrics("val") and "oracle/HOTA" in evaluation.metrics("val")


def test_label_scores_count_observations_against_the_oracle(evaluation):
    assert evaluation.labels.tolist() == [[4, 0, 0], [4, 2, 2], [0, 2, 0]]
    found = evaluation.metrics()
    assert found["test/precision"] == pytest.approx(100 * 8 / 12)
    assert found["test/recall"] == pytest.approx(100 * 8 / 10)
    assert found["test/F1"] == pytest.approx(100 * 16 / 22)


def test_rows_and_csv(evaluation, tmp_path):
    evaluation.write_expressions_csv(tmp_path / "expressions.csv")
    with open(tmp_path / "expressions.csv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["slug"] for row in rows] == ["red-cars", "scarlet-autos", "people"]
    assert [row["referents"] for row in rows] == ["1", "2", "1"]
    second = rows[1]
    assert (second["video"], second["sentence"]) == ("0005", "scarlet autos turning left")
    assert float(second["HOTA"]) == pytest.approx(100 * np.sqrt(0.4))
    assert float(second["F1"]) == pytest.approx(100 * 8 / 12)
    assert float(second["oracle_HOTA"]) == pytest.approx(100 * evaluation.oracle.per_sequence()["HOTA"][1])
    assert (second["tags"], second["colour"], second["class"]) == ("unseen_paraphrase", "red", "car")
    assert rows[0]["direction"] == ""
    assert {*METRICS, "accept_all_HOTA", "side", "motion", "distance"} <= second.keys()


def test_the_printed_table_shows_the_three_numbers_side_by_side(evaluation):
    text = str(evaluation)
    lines = {line.split("  ")[0].strip(): line.split() for line in text.splitlines() if line}
    assert "3 (video, expression) sequences" in text
    found = evaluation.metrics()
    assert lines["model"][1] == f"{found['test/HOTA']:.2f}"
    assert lines["model"][-2:] == [f"{found['test/HOTA_mean_over_expressions']:.2f}", "1"]
    assert lines["oracle"][1] == f"{found['oracle/HOTA']:.2f}"
    assert lines["unseen_combination"][1:] == ["1", "100.00", "100.00", "70.71", "100.00", "0"]
    assert "colour" in lines and "distance" not in lines


def test_what_is_saved_is_loaded(evaluation, tmp_path):
    path = tmp_path / "sequences.npz"
    evaluation.save(path)
    found = Evaluation.load(path)
    assert found.sequences == evaluation.sequences
    assert found.metrics() == evaluation.metrics()
    assert found.rows() == evaluation.rows()
    whole = path.read_bytes()
    for size in range(0, len(whole), 173):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="truncated or corrupted"):
            Evaluation.load(path)
    with pytest.raises(InputError, match="does not exist"):
        Evaluation.load(tmp_path / "none.npz")


def test_selected_sequences_are_an_evaluation_of_their_own(evaluation):
    part = evaluation.select(np.array([2, 0]))
    assert [info.slug for info in part.sequences] == ["people", "red-cars"]
    assert part.metrics()["test/HOTA_mean_over_expressions"] == pytest.approx(50)
    assert part.labels.tolist() == [[0, 2, 0], [4, 0, 0]]


def test_the_published_protocol_leaves_out_the_last_observation_of_each_track(scene):
    of, tracks = scene
    given = scores(of, tracks, np.ones((8, 3)))
    judged, published = (evaluate_videos([(of, given)], judge_last_observation=judge) for judge in (True, False))
    assert judged.model.predicted.tolist() == [8, 8, 8]
    assert published.model.predicted.tolist() == published.accept_all.predicted.tolist() == [5, 5, 5]
    assert published.oracle.predicted.tolist() == [3, 4, 0]
    assert published.oracle.matches[:, 0].tolist() == [3, 4, 0]
    assert published.labels.sum(1).tolist() == [5, 5, 5]
    assert published.model.truth.tolist() == [4, 8, 2]


def test_an_expression_without_referents_is_a_sequence():
    of = video([(0, 1, 0, 0, 10, 10)], {"cars": [0], "buses": []})
    one = track_set([(0, 5, 0, 0, 10, 10)])
    quiet, loud = (evaluate_videos([(of, scores(of, one, [[1, answer]]))]) for answer in (0, 1))
    for found in (quiet, loud):
        assert found.metrics()["test/expressions_without_referents"] == 1
        assert found.model.per_sequence()["HOTA"].tolist() == pytest.approx([1, 0])
        assert found.metrics()["test/zero_HOTA_expressions"] == 1
    assert quiet.metrics()["test/HOTA"] == pytest.approx(100)
    assert loud.metrics()["test/DetPr"] == pytest.approx(50)


def test_videos_add_up_and_engines_agree(scene):
    of, tracks = scene
    other = video(track(4, range(6), x=5), {PLAIN: range(6)}, name="0011")
    pairs = [
        (of, scores(of, tracks, accepted(tracks, [11], [12], [13]))),
        (other, scores(other, track_set(track(1, range(6), x=6)), np.ones((6, 1)))),
    ]
    told = []
    fast = evaluate_videos(iter(pairs), progress=told.append)
    slow = evaluate_videos(pairs, engine="trackeval", processes=2)
    assert [info.video for info in fast.sequences] == ["0005"] * 3 + ["0011"]
    assert told == ["evaluated video 0005: 3 expressions", "evaluated video 0011: 1 expressions"]
    assert slow.metrics() == pytest.approx(fast.metrics(), abs=1e-9)
    parts = [evaluate_videos([pair]) for pair in pairs]
    joined = Statistics.concatenate(part.model for part in parts)
    assert fast.metrics()["test/HOTA"] == pytest.approx(100 * joined.pooled()["HOTA"])


def test_videos_without_tracks_or_truth(scene):
    of, tracks = scene
    nothing = PairResults(of.name, TrackSet.empty(), of.expressions, np.zeros((0, 3, 2), np.float32))
    found = evaluate_videos([(of, nothing)])
    assert found.metrics()["test/HOTA"] == found.metrics()["oracle/HOTA"] == 0
    assert found.metrics()["test/zero_HOTA_expressions"] == 3
    no_truth = video([], {UNSEEN: [], PARAPHRASE: [], PLAIN: []})
    found = evaluate_videos([(no_truth, scores(no_truth, tracks, np.ones((8, 3))))])
    assert found.metrics()["test/expressions_without_referents"] == 3
    assert found.metrics()["test/HOTA"] == 0


def test_a_video_without_expressions_adds_nothing(scene, evaluation):
    of, tracks = scene
    silent = video(track(1, range(3)), {}, name="0001")
    pairs = [
        (silent, scores(silent, tracks, np.ones((8, 0)))),
        (of, scores(of, tracks, accepted(tracks, [11], [11, 12], [13]))),
    ]
    assert evaluate_videos(pairs).metrics() == evaluation.metrics()


def test_scores_of_other_expressions_are_refused(scene):
    of, tracks = scene
    fewer = video(track(1, range(4)), {UNSEEN: [0]})
    with pytest.raises(InputError, match=r"1 of the 3 expressions of video 0005 have no scores: people"):
        part = PairResults("0005", tracks, (UNSEEN, PARAPHRASE), np.zeros((8, 2, 2), np.float32))
        evaluate_videos([(of, part)])
    with pytest.raises(InputError, match=r"'scarlet autos turning left' was scored .* do not have it"):
        evaluate_videos([(fewer, scores(of, tracks, np.ones((8, 3))))])
    changed = video(track(1, range(4)), {Expression("blue cars", "red-cars"): [0]})
    with pytest.raises(InputError, match="'red cars' was scored"):
        evaluate_videos([(changed, PairResults("0005", tracks, (UNSEEN,), np.zeros((8, 1, 2), np.float32)))])
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate_videos([])


def test_expressions_may_be_scored_in_another_order(scene, evaluation):
    of, tracks = scene
    order = [2, 0, 1]
    given = scores(of, tracks, accepted(tracks, [11], [11, 12], [13]))
    turned = PairResults("0005", tracks, tuple(of.expressions[k] for k in order), given.logits[:, order])
    found = evaluate_videos([(of, turned)])
    assert [info.slug for info in found.sequences] == ["people", "red-cars", "scarlet-autos"]
    assert found.metrics() == pytest.approx(evaluation.metrics())
