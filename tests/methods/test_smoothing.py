"""Scores smoothed along tracks."""

import errno
import os

import numpy as np
import pytest

from flexhook.errors import InputError
from flexhook.inference.pair_writer import PairWriter
from flexhook.inference.smoothing import smooth_track
from flexhook.structures import Expression, TrackSet

EXPRESSIONS = (Expression("cars", "cars"), Expression("red cars", "red-cars"))


def interleaved():
    """Two tracks that take turns in the rows, one of them with a gap."""
    frame, identity = np.array([0, 0, 1, 1, 5, 2, 3]), np.array([1, 2, 1, 2, 1, 2, 2])
    order = np.lexsort((identity, frame))
    box = np.tile([0.0, 0.0, 4.0, 4.0], (7, 1))
    return TrackSet.build(frame[order], identity[order], box)


@pytest.mark.parametrize("reach", [0, 1, 2, 9])
def test_each_observation_has_the_mean_of_its_neighbours(reach):
    logits = np.random.default_rng(0).normal(size=(6, 3, 2)).astype(np.float32)
    smooth = smooth_track(logits, reach)
    assert smooth.dtype == np.float32
    for i in range(6):
        assert np.allclose(smooth[i], logits[max(i - reach, 0) : i + reach + 1].mean(0), atol=1e-6)


def test_written_scores_are_smoothed_along_tracks_not_along_rows(tmp_path):
    tracks = interleaved()
    logits = np.random.default_rng(1).normal(size=(7, 2, 2)).astype(np.float32)
    for reach in (0, 1):
        with PairWriter(tmp_path / str(reach), "v", tracks, EXPRESSIONS, model="m", smoothing=reach) as writer:
            writer.write(3, logits[3:])
            writer.write(0, logits[:3])
            writer.finish()
    plain, smooth = (np.load(tmp_path / str(reach) / "v.npz")["logits"] for reach in (0, 1))
    assert np.array_equal(plain, logits)
    for rows in tracks.tracks().values():
        assert np.allclose(smooth[rows[1]], logits[rows[:3]].mean(0), atol=1e-6)
        assert np.allclose(smooth[rows[0]], logits[rows[:2]].mean(0), atol=1e-6)
    assert [p.name for p in (tmp_path / "1").iterdir()] == ["v.npz"]  # nothing temporary is left


def test_scores_of_another_smoothing_are_not_taken_for_these(tmp_path):
    tracks = interleaved()
    with PairWriter(tmp_path, "v", tracks, EXPRESSIONS, model="m") as writer:
        writer.write(0, np.zeros((7, 2, 2)))
        writer.finish()
    assert PairWriter(tmp_path, "v", tracks, EXPRESSIONS, model="m").finished
    with PairWriter(tmp_path, "v", tracks, EXPRESSIONS, model="m", smoothing=2) as writer:
        assert not writer.finished


def test_without_observations_or_expressions_there_is_nothing_to_smooth(tmp_path):
    for name, rows, expressions in (("a", TrackSet.empty(), EXPRESSIONS), ("b", interleaved(), ())):
        with PairWriter(tmp_path, name, rows, expressions, smoothing=2) as writer:
            for start, stop in writer.missing():
                writer.write(start, np.zeros((stop - start, len(expressions), 2)))
            writer.finish()
        assert writer.finished


def test_a_video_that_was_interrupted_is_smoothed_once(tmp_path):
    tracks, logits = interleaved(), np.random.default_rng(2).normal(size=(7, 2, 2)).astype(np.float32)
    with PairWriter(tmp_path / "whole", "v", tracks, EXPRESSIONS, smoothing=1) as writer:
        writer.write(0, logits)
        whole = writer.finish().read_bytes()
    with PairWriter(tmp_path, "v", tracks, EXPRESSIONS, smoothing=1) as writer:
        writer.write(0, logits[:4])
    with PairWriter(tmp_path, "v", tracks, EXPRESSIONS, smoothing=1) as writer:
        assert writer.missing() == [(4, 7)]
        writer.write(4, logits[4:])
        assert writer.finish().read_bytes() == whole
    with PairWriter(tmp_path, "v", tracks, EXPRESSIONS, smoothing=1) as writer:
        assert writer.finished


@pytest.mark.parametrize("smoothing", [1, 0])
def test_a_full_disk_is_one_message_and_leaves_the_rows(tmp_path, monkeypatch, smoothing):
    """Room is asked for before a file is mapped: a page that finds none would end the process."""
    tracks = interleaved()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with PairWriter(tmp_path, "v", tracks, EXPRESSIONS, smoothing=smoothing) as writer:
        writer.write(0, np.ones((7, 2, 2)))
        with monkeypatch.context() as patch:
            patch.setattr("os.posix_fallocate" if smoothing else "flexhook.inference.pair_writer.assemble_pairs", full)
            with pytest.raises(InputError, match=r"cannot be written.*Make room"):
                writer.finish()
    with PairWriter(tmp_path, "v", tracks, EXPRESSIONS, smoothing=smoothing) as writer:
        assert writer.missing() == []
        writer.finish()


@pytest.mark.parametrize("smoothing", [-1, 1.5, "2", True])
def test_a_smoothing_that_is_no_number_of_observations_is_refused(tmp_path, smoothing):
    with pytest.raises(ValueError, match="whole number"):
        PairWriter(tmp_path, "v", interleaved(), EXPRESSIONS, smoothing=smoothing)
