"""Clips: all trajectories alive at a last frame share its frames; a missing observation is the nearest earlier one."""

import numpy as np
import pytest
from tiny_video import make_video

from flexhook.errors import ConfigError
from flexhook.sampling.expression_sampler import ExpressionSampler
from flexhook.sampling.items import ClipItems
from flexhook.sampling.perturbations import GaussianJitter, LateStart, NoJitter, NoMasking, SegmentMasking

# Track 1 is there all the time and shows which frames a clip has; 2 has gaps, 3 starts late, 4 is under T.
SPANS = {1: range(24), 2: [0, 1, 2, 3, 9, 10, 11, 12, 20], 3: [10, 11, 12, 13, 14], 4: [5, 6, 7]}
SENTENCES = (*(f"number {k}" for k in range(4)), "early", "late")
REFERENTS = (*(lambda f, i, k=k: i == k for k in range(4)), lambda f, i: f < 10, lambda f, i: f >= 10)


def world(**changes):
    return make_video(SPANS, SENTENCES, REFERENTS, **changes)


def make(videos, masking=None, jitter=None, frames=4, stride=1, drop=False, seed=0, max_tracks=8, noisy=False,
         count=6, positives=2, **options):
    return ClipItems(
        videos, frames, stride, masking or NoMasking(), ExpressionSampler(count, positives, noisy), jitter or NoJitter(),
        drop, seed, max_tracks=max_tracks, **options,
    )  # fmt: skip


def expected_frames(track, clip):
    """The track's observation at each frame of the clip: that frame, else the nearest earlier, else the first."""
    return [max((f for f in track if f <= frame), default=min(track)) for frame in clip]


def identities(video, item):
    """Whose boxes these are; every box must be the one of its frame."""
    out = []
    for frames, boxes in zip(item.frame, item.box, strict=True):
        fits = []
        for identity in SPANS:
            rows = video.truth.rows_of(frames, np.full(len(frames), identity))
            if (rows >= 0).all() and np.abs(video.truth.box[rows] / [192, 64, 192, 64] - boxes).max() < 1e-15:
                fits.append(identity)
        (identity,) = fits
        out.append(identity)
    return out


def alive_at(last):
    return [k for k in (1, 2, 3) if last in SPANS[k]]


def test_unmasked_clip_holds_every_track_alive_at_its_last_frame():
    video = world()
    items = make([video])
    assert len(items) == 24
    for last in range(24):
        item = items[0, last]
        clip = range(last - 3, last + 1)
        assert identities(video, item) == alive_at(last)
        assert item.frame.tolist() == [expected_frames(SPANS[k], clip) for k in alive_at(last)]


def test_missing_observations_by_hand():
    items = make([world()])
    assert items[0, 10].frame.tolist() == [[7, 8, 9, 10], [3, 3, 9, 10], [10, 10, 10, 10]]  # 3 starts at 10
    assert items[0, 20].frame.tolist() == [[17, 18, 19, 20], [12, 12, 12, 20]]
    assert items[0, 1].frame.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def test_masking_is_drawn_once_per_clip():
    video, drawn = world(), set()
    items = make([video], SegmentMasking(8))
    for epoch in range(40):
        for last in (12, 20):
            item = items[epoch, last]
            clip = item.frame[0].tolist()  # track 1 has every frame
            assert (clip[0], clip[-1]) == (last - 7, last)
            assert sorted(set(clip)) == clip
            assert item.frame.tolist() == [expected_frames(SPANS[k], clip) for k in alive_at(last)]
            drawn.add(tuple(clip))
    assert len(drawn) > 20


def test_span_reaching_before_the_video_repeats_the_first_frame():
    item = make([world()], SegmentMasking(8))[0, 2]
    assert item.frame[0, 0] == 0
    assert item.frame[0, -1] == 2


def test_clips_end_at_every_nth_frame_at_which_a_track_is_alive():
    video = make_video({1: [3, 4, 5, 6, 9, 10], 2: [20, 21, 22, 23], 3: [30, 31]}, ["all"], [lambda f, i: True])
    items = make([video], stride=3, count=1, positives=1)
    assert [items[0, k].frame[0, -1] for k in range(len(items))] == [3, 6, 20, 23]


def test_labels_are_those_of_the_last_observation():
    video = world()
    items = make([video], SegmentMasking(8))
    for last in range(24):
        item = items[3, last]
        for b, identity in enumerate(alive_at(last)):
            expected = [int(REFERENTS[e](last, identity)) for e in item.expression[b]]
            assert item.label[b].tolist() == expected


def test_share_of_positives_is_the_configured_one():
    """Each window has two positives: its own number, and early or late."""
    items = make([world()], count=6, positives=2)
    assert all((items[0, last].label.sum(1) == 2).all() for last in range(24))


def test_tracks_over_the_limit_are_drawn():
    video = world()
    items = make([video], max_tracks=2)
    seen = set()
    for epoch in range(30):
        who = identities(video, items[epoch, 11])
        assert len(who) == 2
        assert who == sorted(set(who))
        seen.add(tuple(who))
    assert seen == {(1, 2), (1, 3), (2, 3)}


def test_dropped_observations_count_as_missing():
    """Only even frames of track 1 are referred to: the odd ones are the nearest earlier even ones, and end no clip."""
    video = make_video({1: range(12)}, ["even"], [lambda f, i: f % 2 == 0])
    items = make([video], drop=True, count=1, positives=1)
    assert [items[0, k].frame[0].tolist() for k in range(len(items))] == [
        [0, 0, 0, 0], [0, 0, 0, 2], [0, 2, 2, 4], [2, 4, 4, 6], [4, 6, 6, 8], [6, 8, 8, 10],
    ]  # fmt: skip
    (count,) = {int(items[0, k].label.sum()) for k in range(len(items))}
    assert count == 1


def test_group_is_a_clip_and_drawn_others_of_its_video():
    videos = [world(), world(name="0002", seed=1)]
    items, single = make(videos, group=3), make(videos)
    others = set()
    for epoch in range(10):
        item = items[epoch, 24 + 11]
        assert item.video == 1
        ends, start = [], 0
        while start < len(item.frame):  # without masking a clip is known by its last frame
            last = int(item.frame[start, -1])
            clip = single[0, 24 + last]
            stop = start + len(clip.frame)
            assert np.array_equal(item.frame[start:stop], clip.frame)
            assert np.abs(item.box[start:stop] - clip.box).max() == 0
            ends.append(last)
            start = stop
        assert len(ends) == len(set(ends)) == 3
        assert ends[0] == 11
        others |= set(ends[1:])
        for frames, identity, heard, label in zip(
            item.frame, identities(videos[1], item), item.expression, item.label, strict=True
        ):
            assert label.tolist() == [int(REFERENTS[e](frames[-1], identity)) for e in heard]
    assert len(others) > 8


def test_group_takes_all_clips_of_a_video_that_has_too_few():
    video = make_video({1: range(4)}, ["all"], [lambda f, i: True])
    item = make([video], group=9, count=1, positives=1)[0, 2]
    assert sorted(item.frame[:, -1]) == [0, 1, 2, 3]
    assert item.frame[0, -1] == 2


def test_pool_limits_the_expressions_and_keeps_the_share():
    """Six expressions, a pool of four: labels stay true and the share is kept; one window alone hears none twice."""
    video, pools = world(), set()
    items = make([video], pool=4, count=4, positives=2)
    for epoch in range(20):
        item = items[epoch, 11]
        assert len(np.unique(item.expression)) <= 4
        assert item.label.sum(1).tolist() == [2, 2, 2]
        for b, identity in enumerate(alive_at(11)):
            assert item.label[b].tolist() == [int(REFERENTS[e](11, identity)) for e in item.expression[b]]
        alone = items[epoch, 15]  # track 1 has two positives, and four negatives of which two are drawn
        pools.add(tuple(sorted(alone.expression[0])))
        assert len(set(alone.expression[0])) == 4 and alone.label.tolist() == [[1, 1, 0, 0]]
    assert len(pools) == 6  # ways to draw two of four


@pytest.mark.parametrize("group", [1, 2])
def test_positives_of_a_pool_are_not_repeated_where_the_video_has_enough(group):
    """40 of 100 expressions refer to each of four objects, others to each; a window asks for 6 to 10 of them."""
    refers = [lambda f, i, k=k: (k + 7 * i) % 5 < 2 for k in range(100)]
    video = make_video({k: range(12) for k in range(4)}, [f"number {k}" for k in range(100)], refers)
    items = make([video], pool=30, count=16, positives=8, noisy=True, group=group)
    heard, shares = set(), []
    for epoch in range(5):
        for k in range(len(items)):
            item = items[epoch, k]
            assert len(np.unique(item.expression)) <= 30
            assert all(len(set(row)) == 16 for row in item.expression.tolist())
            shares.append(item.label.mean())
            heard |= set(item.expression.flatten().tolist())
    assert 0.48 < np.mean(shares) < 0.52
    assert len(heard) == 100


def test_a_pool_for_windows_that_hear_all_of_it_keeps_a_positive_of_each():
    items = make([world()], pool=4, count=None)
    pools = {tuple(items[epoch, 11].expression) for epoch in range(20)}
    assert all(len(pool) == 4 for pool in pools) and len(pools) > 3
    for epoch in range(20):
        assert (items[epoch, 11].label.sum(1) >= 1).all()


def test_a_pool_below_what_a_window_hears_is_refused():
    with pytest.raises(ConfigError, match=r"sampling\.pool is 5 and sampling\.expressions 6"):
        make([world()], pool=5, count=6)


@pytest.mark.parametrize("frames", [1, 2])
def test_short_windows(frames):
    video = make_video({1: range(12), 2: [4]}, ["all"], [lambda f, i: True])
    items = make([video], SegmentMasking(8), frames=frames, count=1, positives=1)
    assert items[0, 11].frame.tolist() == ([[11]] if frames == 1 else [[4, 11]])
    assert len(items[0, 4].frame) == (2 if frames == 1 else 1)  # with T = 1 the track of one observation counts


def same(a, b):
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("frame", "box", "expression", "label"))


def test_item_depends_on_seed_epoch_and_index_alone():
    def items(seed=0):
        return make([world()], SegmentMasking(8), GaussianJitter(0.02), max_tracks=2, noisy=True, seed=seed)

    first, second = items(), items()
    places = [(epoch, k) for epoch in (0, 3) for k in range(24)]
    there = {at: first[at] for at in places}
    back = {at: second[at] for at in reversed(places)}
    assert all(same(there[at], back[at]) for at in places)
    assert not same(there[0, 20], there[3, 20])
    assert not same(there[0, 20], items(seed=1)[0, 20])


def test_windows_of_a_clip_may_begin_late():
    video = world()
    late, whole = make([video], start=LateStart(1.0)), make([video])
    for last in range(6, 24):
        item, other = late[0, last], whole[0, last]
        assert identities(video, item) == identities(video, other)
        for frames, before in zip(item.frame.tolist(), other.frame.tolist(), strict=True):
            assert frames in [[before[k]] * k + before[k:] for k in (1, 2, 3)]
        assert (item.frame[:, -1] == other.frame[:, -1]).all()
