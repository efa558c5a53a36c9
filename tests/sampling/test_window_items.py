"""One-window items and validation items: which observations, which labels, and nothing drawn twice differently."""

import numpy as np
import pytest
from tiny_video import make_video

from flexhook.errors import InputError
from flexhook.sampling.expression_sampler import ExpressionSampler
from flexhook.sampling.items import ValidationItems, WindowItems
from flexhook.sampling.perturbations import GaussianJitter, LateStart, NoJitter, NoMasking, SegmentMasking

SENTENCES = ("all of them", "the first", "the first after frame nine", "nothing")
REFERENTS = (lambda f, i: True, lambda f, i: i == 1, lambda f, i: i == 1 and f > 9, lambda f, i: False)
# Track 1 has gaps, track 2 is of T observations, track 3 under T.
SPANS = {1: [2, 3, 4, 7, 8, 12, 13, 14, 15, 16], 2: [0, 1, 2, 5], 3: [4, 5, 6]}


def world(**changes):
    return make_video(SPANS, SENTENCES, REFERENTS, **changes)


def make(videos, masking=None, jitter=None, frames=4, stride=2, drop=False, seed=0, count=4, positives=2):
    return WindowItems(
        videos, frames, stride, masking or NoMasking(), ExpressionSampler(count, positives, noisy=False),
        jitter or NoJitter(), drop, seed,
    )  # fmt: skip


def box_of(video, frame, identity):
    (row,) = video.truth.rows_of(np.array([frame]), np.array([identity]))
    return video.truth.box[row] / [192, 64, 192, 64]


def test_windows_are_consecutive_observations_whatever_the_frames_between():
    video = world()
    items = make([video])
    frames = [items[0, k].frame[0].tolist() for k in range(len(items))]
    a = SPANS[1]  # starts -3, -1, 1, 3, 5
    assert frames[:5] == [[a[0]] * 4, [a[0], a[0], a[1], a[2]], a[1:5], a[3:7], a[5:9]]
    assert frames[5:] == [[0] * 4, [0, 0, 1, 2]]  # n = T: starts -3, -1; the track under T has none
    for k in range(len(items)):
        item, identity = items[0, k], 1 if k < 5 else 2
        expected = [box_of(video, f, identity) for f in item.frame[0]]
        assert np.abs(item.box[0] - expected).max() < 1e-15


def test_masked_windows_keep_the_ends_of_their_span():
    items = make([world()], SegmentMasking(8), stride=2)
    a = SPANS[1]
    spans = [[a[0]] * 3 + a[:5], [a[0], *a[:7]], a[1:9], a[3:10], a[5:10]]  # the last two are cut at the end
    for k, span in enumerate(spans):
        drawn = set()
        for epoch in range(60):
            frames = items[epoch, k].frame[0].tolist()
            assert (frames[0], frames[-1]) == (span[0], span[-1])
            drawn.add(tuple(frames))
            between = list(span[1:-1])
            for f in frames[1:-1]:
                between = between[between.index(f) + 1 :]  # in order, each place once
        assert len(drawn) > 2  # redrawn every epoch


def test_label_is_that_of_the_last_observation():
    items = make([world()], count=4, positives=2)
    for k in range(5):
        item = items[0, k]
        last = item.frame[0, -1]
        expected = [REFERENTS[e](last, 1) for e in item.expression[0]]
        assert item.label[0].tolist() == [int(v) for v in expected]
    assert {tuple(sorted(set(items[e, 0].expression[0][:2]))) for e in range(30)} == {(0, 1)}  # last frame 2
    late = np.concatenate([items[e, 4].expression[0][items[e, 4].label[0] == 1] for e in range(30)])
    assert set(late) == {0, 1, 2}  # last frame 15


def test_observations_without_an_expression_are_dropped_before_windows_are_made():
    """Only track 1 from frame 10 on is referred to: five observations, and of track 2 none."""
    video = make_video(SPANS, ["the first after frame nine"], [lambda f, i: i == 1 and f > 9])
    items = make([video], drop=True, stride=1, count=1, positives=1)
    assert [items[0, k].frame[0].tolist() for k in range(len(items))] == [
        [12] * 4, [12, 12, 12, 13], [12, 12, 13, 14], [12, 13, 14, 15],
    ]  # fmt: skip
    assert len(make([video], drop=False, stride=1, count=1, positives=1)) == 9 + 3


def test_single_frame_windows():
    items = make([world()], frames=1, stride=3)
    assert [items[0, k].frame.tolist() for k in range(3)] == [[[2]], [[7]], [[13]]]  # starts 0, 3, 6 of 0..8


def test_jitter_moves_the_boxes_of_an_item():
    video = world()
    plain, moved = make([video])[0, 2], make([video], jitter=GaussianJitter(0.02))[0, 2]
    assert np.array_equal(plain.frame, moved.frame)
    size = np.tile(plain.box[..., 2:] - plain.box[..., :2], 2)
    shift = np.abs(moved.box - plain.box) / size
    assert 0 < shift.max() < 0.02 * 1.5 * 4.5
    assert np.array_equal(plain.box, make([video])[0, 2].box)


def same(a, b):
    return (np.array_equal(a.frame, b.frame) and np.array_equal(a.box, b.box) and a.key == b.key
            and np.array_equal(a.expression, b.expression) and np.array_equal(a.label, b.label))  # fmt: skip


def test_item_depends_on_seed_epoch_and_index_alone():
    def items(seed=0):
        return make([world(), world(name="0002", seed=1)], SegmentMasking(8), GaussianJitter(0.02), seed=seed)

    first, second = items(), items()
    places = [(epoch, k) for epoch in (0, 1) for k in range(len(first))]
    there = {at: first[at] for at in places}
    np.random.seed(5)
    back = {at: second[at] for at in reversed(places)}
    assert all(same(there[at], back[at]) for at in places)
    assert all(there[at].key == (0, *at) for at in places)
    assert not same(there[0, 2], there[1, 2])
    assert not same(there[0, 2], items(seed=1)[0, 2])


def test_videos_are_told_apart_and_those_without_expressions_left_out():
    items = make([world(), make_video(SPANS, name="0002"), world(name="0003")])
    assert [items[0, k].video for k in range(len(items))] == [0] * 7 + [2] * 7


def test_empty_training_set_is_refused_with_its_reason():
    with pytest.raises(InputError, match=r"no training window in videos 0001") as error:
        make([make_video({1: [0, 1, 2]}, ["all"], [lambda f, i: True])])
    assert "4 observations or more" in str(error.value)
    with pytest.raises(InputError, match=r"\(none\)"):
        make([])


def validation_windows(items):
    return [
        (items[k].video, tuple(items[k].frame[b]), items[k].label[b].tolist())
        for k in range(len(items)) for b in range(len(items[k].frame))
    ]  # fmt: skip


def test_validation_takes_consecutive_observations_against_all_expressions():
    video = world()
    items = ValidationItems([video], num_frames=4, stride=2, group=3)
    a, b = SPANS[1], SPANS[2]  # starts -2, 0, 2, 4, 6 and -2, 0: counted back from the last observation
    frames = [[a[0], a[0], a[0], a[1]], a[:4], a[2:6], a[4:8], a[6:10], [b[0], b[0], b[0], b[1]], b]
    identity = [1] * 5 + [2] * 2
    expected = [(0, tuple(f), [int(refers(f[-1], i)) for refers in REFERENTS])
                for f, i in zip(frames, identity, strict=True)]
    assert sorted(validation_windows(items)) == sorted(expected)
    assert items.num_windows == 7
    assert [len(items[k].frame) for k in range(len(items))] == [3, 3, 1]
    assert all(items[k].expression is None for k in range(len(items)))
    ends = [w[1][-1] for w in validation_windows(items)]
    assert ends == sorted(ends)  # neighbours in time


def test_validation_draws_nothing():
    videos = [world(), world(name="0002", seed=1)]
    a, b = (ValidationItems(videos, 4, 2) for _ in range(2))
    for k in range(len(a)):
        assert np.array_equal(a[k].frame, b[k].frame)
        assert np.array_equal(a[k].box, b[k].box)
    video = videos[0]
    item = next(a[k] for k in range(len(a)) if a[k].video == 0)
    for frames, boxes in zip(item.frame, item.box, strict=True):
        known = [np.abs(boxes - [box_of(video, f, i) for f in frames]).max() for i in (1, 2)
                 if set(frames) <= set(SPANS[i])]  # fmt: skip
        assert min(known) < 1e-15


def test_every_observation_ends_a_validation_window_at_stride_1():
    ends = [w[1][-1] for w in validation_windows(ValidationItems([world()], 4, 1))]
    assert sorted(ends) == sorted(SPANS[1] + SPANS[2])


def test_published_validation_stops_before_the_last_observation():
    items = ValidationItems([world()], 4, 2, last_observation=False)
    a = SPANS[1]
    frames = [[a[0]] * 4, [a[0], a[0], a[1], a[2]], a[1:5], a[3:7], a[5:9], [0] * 4, [0, 0, 1, 2]]
    assert sorted(w[1] for w in validation_windows(items)) == sorted(map(tuple, frames))


def test_published_validation_drops_unreferred_observations_and_counts_every_nth_window_per_track():
    """Dropped first, as in training: track 1 keeps frames 12 to 16; of track 2 nothing is left."""
    late = make_video(SPANS, ["the first after frame nine"], [lambda f, i: i == 1 and f > 9])

    def frames(**changes):
        items = ValidationItems([late], 4, 1, last_observation=False, **changes)
        return [w[1] for w in validation_windows(items)]

    dropped = [(12, 12, 12, 12), (12, 12, 12, 13), (12, 12, 13, 14), (12, 13, 14, 15)]
    assert frames(drop_unreferred=True) == dropped
    assert frames(drop_unreferred=True, keep_every=3) == [dropped[0], dropped[3]]
    # of 9 and 3 windows the 1st, 5th, 9th of track 1 and the 1st of track 2: counting goes on anew for each track
    assert sorted(frames(keep_every=4)) == [(0, 0, 0, 0), (2, 2, 2, 2), (3, 4, 7, 8), (12, 13, 14, 15)]


@pytest.mark.parametrize(("keep", "left"), [(1, 7), (2, 4), (3, 3), (10, 2)])
def test_every_nth_validation_window_of_each_track_is_kept(keep, left):
    items = ValidationItems([world()], 4, 2, keep_every=keep)
    every = set(map(str, validation_windows(ValidationItems([world()], 4, 2))))
    assert items.num_windows == left
    assert set(map(str, validation_windows(items))) <= every


def test_items_of_different_videos_do_not_mix():
    items = ValidationItems([world(), make_video(SPANS, name="0002"), world(name="0003")], 4, 2, group=100)
    assert [items[k].video for k in range(len(items))] == [0, 2]


def test_windows_may_begin_late():
    whole = make([world()])
    late = WindowItems(whole.videos, 4, 2, NoMasking(), ExpressionSampler(4, 2, noisy=False), NoJitter(), False, 0,
                       start=LateStart(1.0))
    for k in range(len(whole)):
        before = whole[0, k].frame[0].tolist()
        assert late[0, k].frame[0].tolist() in [[before[n]] * n + before[n:] for n in (1, 2, 3)]
