"""Which observations windows hold, number by number."""

import numpy as np
import pytest

from flexhook.sampling.windows import scoring_windows, span_of, validation_starts, window_starts


@pytest.mark.parametrize(
    ("observations", "frames", "stride", "starts"),
    [
        (10, 4, 2, [-3, -1, 1, 3, 5]),  # up to n - T - 1 = 5
        (10, 4, 3, [-3, 0, 3]),
        (10, 4, 1, [-3, -2, -1, 0, 1, 2, 3, 4, 5]),
        (10, 4, 20, [-3]),
        (4, 4, 1, [-3, -2, -1]),  # n = T: up to -1
        (4, 4, 2, [-3, -1]),
        (3, 4, 2, []),  # a track under T observations is left out
        (0, 4, 2, []),
        (5, 1, 2, [0, 2]),  # T = 1: from 0 to n - 2 = 3
        (5, 1, 1, [0, 1, 2, 3]),
        (1, 1, 1, []),  # from 0 to -1
    ],
)
def test_starts(observations, frames, stride, starts):
    assert window_starts(observations, frames, stride).tolist() == starts


@pytest.mark.parametrize(
    ("observations", "frames", "stride", "starts"),
    [
        (10, 4, 2, [-2, 0, 2, 4, 6]),  # the last window ends on the last observation, n - T = 6
        (10, 4, 1, [-3, -2, -1, 0, 1, 2, 3, 4, 5, 6]),  # stride 1: a window ends on every observation
        (10, 4, 20, [6]),
        (4, 4, 1, [-3, -2, -1, 0]),
        (4, 4, 5, [0]),  # n = T: its full window, whatever the stride
        (3, 4, 2, []),  # a track under T observations is left out
        (1, 1, 1, [0]),
        (5, 1, 2, [0, 2, 4]),
    ],
)
def test_validation_starts_count_back_from_the_last_observation(observations, frames, stride, starts):
    assert validation_starts(observations, frames, stride).tolist() == starts


@pytest.mark.parametrize(
    ("start", "length", "observations", "span"),
    [
        (-3, 8, 10, [0, 0, 0, 0, 1, 2, 3, 4]),  # indices below 0 repeat the first observation
        (1, 8, 10, [1, 2, 3, 4, 5, 6, 7, 8]),
        (5, 8, 10, [5, 6, 7, 8, 9]),  # cut at the track's end
        (-3, 8, 4, [0, 0, 0, 0, 1, 2, 3]),
        (-3, 4, 10, [0, 0, 0, 0]),
        (0, 1, 1, [0]),
    ],
)
def test_spans(start, length, observations, span):
    assert span_of(start, length, observations).tolist() == span


@pytest.mark.parametrize("frames", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_every_span_has_room_for_a_window(frames, stride):
    for n in range(20):
        for start in window_starts(n, frames, stride):
            for length in (frames, 8):
                span = span_of(int(start), length, n)
                assert frames <= len(span) <= length
                assert span[-1] <= n - 1


def test_scoring_judges_every_observation_with_the_ones_that_end_at_it():
    expected = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4]]
    assert scoring_windows(5, 4).tolist() == expected
    assert scoring_windows(2, 1).tolist() == [[0], [1]]
    assert scoring_windows(1, 4).tolist() == [[0, 0, 0, 0]]
    assert scoring_windows(0, 4).shape == (0, 4)
    assert scoring_windows(3, 4).dtype == np.int64
