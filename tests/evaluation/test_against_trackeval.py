"""The fast evaluation gives the trackeval package's numbers: golden files and random sequences full of ties."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from evaluation_worlds import random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from trackeval.metrics import CLEAR, HOTA, Identity

from flexhook.evaluation import jobs as engine
from flexhook.evaluation.assignment import assign
from flexhook.evaluation.evaluator import evaluate_folder
from flexhook.evaluation.jobs import ENGINES, Job, statistics
from flexhook.evaluation.overlaps import Boxes, Overlaps
from flexhook.evaluation.sequence import Sequence
from flexhook.evaluation.statistics import METRICS, Statistics
from flexhook.evaluation.trackeval_reference import sequence_data

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "evaluation"


def random_job(seed, sequences=4):
    rng = np.random.default_rng(seed)
    frames, noise = int(rng.integers(1, 12)), float(rng.choice([0, 0.2]))
    crowd = 14 if rng.random() < 0.5 else 5
    truth, tracks = (random_boxes(rng, frames, int(rng.integers(0, crowd)), int(rng.integers(2, 14)), noise) for _ in range(2))
    if rng.random() < 0.3:  # every true box is also predicted exactly
        tracks = Boxes(
            *(
                np.concatenate(pair)
                for pair in (
                    (tracks.frame, truth.frame),
                    (tracks.identity, truth.identity + 1000),
                    (tracks.box, truth.box),
                )
            )
        )
    truth_rows, track_rows = (
        [subset(rng, len(part), shuffle=k % 2 == 1) for k in range(sequences)] for part in (truth, tracks)
    )
    return Job(truth, tracks, truth_rows, track_rows)


def subset(rng, count, shuffle):
    rows = np.flatnonzero(rng.random(count) < rng.choice([0, 0.3, 0.8, 1]))
    return rng.permutation(rows) if shuffle else rows


def assert_equal(found, wanted, tolerance=1e-9):
    for field in fields(Statistics):
        np.testing.assert_allclose(
            getattr(found, field.name), getattr(wanted, field.name), rtol=0, atol=tolerance, err_msg=field.name
        )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_random_sequences(seed):
    """Empty and one-frame sequences, exact duplicates, ties, crowds of more than eight, rows in any order."""
    job = random_job(seed)
    (fast,), (reference,) = (statistics([job], engine=engine) for engine in ENGINES)
    assert_equal(fast, reference)


def test_crowds():
    """Thirty objects in a space where each overlaps several others."""
    rng = np.random.default_rng(5)
    truth, tracks = (random_boxes(rng, 25, 30, 12, 0.3) for _ in range(2))
    rows = [[np.flatnonzero(rng.random(len(part)) < share) for share in (1, 0.7, 0.3)] for part in (truth, tracks)]
    job = Job(truth, tracks, *rows)
    (fast,), (reference,) = (statistics([job], engine=engine) for engine in ENGINES)
    assert fast.matches[0, 0] > 300
    assert_equal(fast, reference)


def test_pooling_is_that_of_the_package():
    jobs = [random_job(seed) for seed in range(40)]
    metrics = (HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False}))
    results = [{}, {}, {}]
    for j, job in enumerate(jobs):
        for s, rows in enumerate(zip(job.truth_rows, job.track_rows, strict=True)):
            data = sequence_data(job.truth, job.tracks, *rows)
            for metric, result in zip(metrics, results, strict=True):
                result[f"{j} {s}"] = metric.eval_sequence(data)
    pooled = Statistics.concatenate(statistics(jobs)).pooled()
    checked = set()
    for metric, result in zip(metrics, results, strict=True):
        combined = metric.combine_sequences(result)
        for name in set(METRICS) & set(combined):
            assert pooled[name] == pytest.approx(np.mean(combined[name]), abs=1e-12), name
            checked.add(name)
    assert checked == set(METRICS)


def test_pooled_false_alarms_without_any_truth_are_those_of_the_package():
    job = random_job(8)
    job = Job(job.truth, job.tracks, [np.arange(0)], [np.arange(len(job.tracks))])
    clear = CLEAR({"PRINT_CONFIG": False})
    alone = clear.eval_sequence(sequence_data(job.truth, job.tracks, job.truth_rows[0], job.track_rows[0]))
    (found,) = statistics([job])
    assert found.pooled()["MOTA"] == clear.combine_sequences({"a": alone})["MOTA"] == -len(job.tracks)
    assert found.per_sequence()["MOTA"][0] == alone["MOTA"] == 0


def test_processes_change_nothing():
    jobs = [random_job(1, sequences=130), random_job(2, sequences=1), random_job(3, sequences=0)]
    alone, shared = (list(statistics(jobs, processes=processes)) for processes in (1, 2))
    assert [len(part) for part in shared] == [130, 1, 0]
    for one, other in zip(alone, shared, strict=True):
        assert_equal(other, one, tolerance=0)


def test_overlaps_do_not_depend_on_the_block_size(monkeypatch):
    job = random_job(20)
    whole = Overlaps(job.truth, job.tracks)
    monkeypatch.setattr("flexhook.evaluation.overlaps.PAIRS_AT_ONCE", 7)
    blocks = Overlaps(job.truth, job.tracks)
    assert len(whole.iou) > 50
    for name in ("t", "p", "iou", "code"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(blocks, name))


def test_pairs_of_a_sequence_follow_the_order_of_its_rows():
    """TrackEval sums and breaks ties in the order of a file's rows: pairs are sorted by it within a frame."""
    job = random_job(20)
    rng = np.random.default_rng(0)
    rows = [rng.permutation(len(part)) for part in (job.truth, job.tracks)]
    sequence = Sequence(job.overlaps, *rows)
    assert len(sequence.iou) == len(job.overlaps.iou) > 1000
    order = np.lexsort((sequence.p, sequence.t, sequence.frame))
    np.testing.assert_array_equal(order, np.arange(len(order)))
    t = rows[0][np.argsort(job.truth.frame[rows[0]], kind="stable")][sequence.t]
    np.testing.assert_array_equal(job.truth.frame[t], sequence.frame)
    np.testing.assert_array_equal(job.overlaps.truth_code[t], sequence.truth_code[sequence.t])


def test_an_assignment_is_the_best_one_to_one_choice():
    """Against trying everything: four boxes that all overlap, ten times."""
    from itertools import permutations

    rng = np.random.default_rng(0)
    for _ in range(10):
        boxes = [Boxes(np.zeros(4, int), np.arange(4), rng.uniform([0, 0, 6, 6], [3, 3, 9, 9], (4, 4))) for _ in "ab"]
        sequence = Sequence(Overlaps(*boxes), np.arange(4), np.arange(4))
        weight = rng.random(16)
        taken = assign(sequence, weight)
        matrix = weight.reshape(4, 4)
        best = max(sum(matrix[k, c] for k, c in enumerate(order)) for order in permutations(range(4)))
        assert weight[taken].sum() == pytest.approx(best)
        assert taken.sum() == 4


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden values lie beside the checkout, in ../shared/golden")
@pytest.mark.parametrize("engine", ENGINES)
def test_golden_scores_of_the_fields_fork(engine):
    expected = json.loads((GOLDEN / "expected.json").read_text())
    found = evaluate_folder(GOLDEN / "sequences", engine=engine).summary()
    assert found.keys() == expected.keys()
    assert found["zero_HOTA_expressions"] == expected["zero_HOTA_expressions"] == 13
    for part in ("pooled", "mean_over_expressions"):
        assert found[part].keys() == expected[part].keys()
        assert found[part] == pytest.approx(expected[part], abs=1e-9, rel=0)
    assert found["sequences"].keys() == expected["sequences"].keys()
    for name, values in expected["sequences"].items():
        assert found["sequences"][name].keys() == values.keys()
        assert found["sequences"][name] == pytest.approx(values, abs=1e-9, rel=0), name


class Threads(ThreadPoolExecutor):
    """In place of processes, so that a test sees what they do; every task passes through pickle as with processes."""

    def __init__(self, count, mp_context):
        super().__init__(count)

    def submit(self, work, job):
        return super().submit(work, pickle.loads(pickle.dumps(job)))


def test_parts_of_a_video_share_its_overlaps(monkeypatch):
    computed, init = [], Overlaps.__init__

    def counted(self, *arguments):
        computed.append(1)
        init(self, *arguments)

    monkeypatch.setattr(Overlaps, "__init__", counted)
    monkeypatch.setattr(engine, "ProcessPoolExecutor", Threads)
    rng = np.random.default_rng(0)
    truth, tracks = (random_boxes(rng, 8, 5, 6, 0.1) for _ in range(2))
    rows = [[np.flatnonzero(rng.random(len(b)) < 0.5) for _ in range(3 * engine.CHUNK)] for b in (truth, tracks)]
    (shared,) = statistics([Job(truth, tracks, *rows)], processes=2)
    assert len(computed) == 1
    (alone,) = statistics([Job(truth, tracks, *rows)])
    np.testing.assert_array_equal(shared.per_sequence()["HOTA"], alone.per_sequence()["HOTA"])


def test_videos_are_read_as_the_processes_get_to_them(monkeypatch):
    monkeypatch.setattr(engine, "ProcessPoolExecutor", Threads)
    rng, read = np.random.default_rng(0), []

    def jobs():
        for k in range(20):
            read.append(k)
            part = random_boxes(rng, 4, 3, 6, 0.1)
            yield Job(part, part, [np.arange(k % 4)], [np.arange(3)])

    results = statistics(jobs(), processes=2)
    truth = [int(next(results).truth[0])]
    assert len(read) <= 2 * engine.AHEAD + 1
    truth += [int(done.truth[0]) for done in results]
    assert truth == [k % 4 for k in range(20)]  # in order
