"""The simulated tracker: its errors occur at the rates that are asked for, and add up to a usual tracker."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from trackeval.metrics import HOTA

from flexhook.errors import ConfigError
from flexhook.media.images import ImageFiles
from flexhook.structures import TrackSet, Video, make_labels
from flexhook.structures.boxes import iou
from flexhook.synthetic import TrackerErrors, WorldConfig, simulate_tracker

NONE = TrackerErrors(miss=0, jitter=0, fragment=0, switch=0, invent=0)


@pytest.fixture(scope="module")
def videos(default_world):
    names = WorldConfig().splits["test"]
    return [default_world[name].as_video(ImageFiles([f"{k}.jpg" for k in range(100)])) for name in names]


def hota(videos, tracks):
    """Pooled HOTA, DetA and AssA of all objects, 0 to 100, by the trackeval package."""
    results = {}
    for video, track in zip(videos, tracks, strict=True):
        truth = video.truth
        data = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
        ids, found = np.unique(truth.identity, return_inverse=True), np.unique(track.identity, return_inverse=True)
        for frame in range(video.num_frames):
            a, b = truth.frame == frame, track.frame == frame
            data["gt_ids"].append(ids[1][a])
            data["tracker_ids"].append(found[1][b])
            data["similarity_scores"].append(iou(truth.box[a], track.box[b]))
        data |= {
            "num_gt_ids": len(ids[0]), "num_tracker_ids": len(found[0]),
            "num_gt_dets": len(truth), "num_tracker_dets": len(track),
        }  # fmt: skip
        results[video.name] = HOTA().eval_sequence(data)
    pooled = HOTA().combine_sequences(results)
    return [100 * pooled[name].mean() for name in ("HOTA", "DetA", "AssA")]


def run(videos, errors, seed=0):
    return [simulate_tracker(video, errors, seed) for video in videos]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_tracker_reaches_60_to_80_hota(videos, seed):
    score, detection, association = hota(videos, run(videos, TrackerErrors(), seed))
    assert 64 < score < 78
    assert detection > 60 and association > 52


def test_a_larger_scale_makes_a_worse_tracker(videos):
    scores = [hota(videos, run(videos, TrackerErrors(scale=scale)))[0] for scale in (0, 0.5, 1, 2, 4)]
    assert scores[0] == pytest.approx(100)
    assert all(a > b + 3 for a, b in pairwise(scores))


def test_no_errors_give_the_truth_under_new_identities(videos):
    for errors in (TrackerErrors(scale=0), NONE):
        tracks = simulate_tracker(videos[0], errors, 0)
        truth = videos[0].truth
        assert np.array_equal(tracks.frame, truth.frame)
        assert np.array_equal(tracks.category, truth.category)
        assert np.allclose(tracks.box, truth.box)
        assert len(set(zip(tracks.identity.tolist(), truth.identity.tolist(), strict=True))) == len(truth.tracks())
        assert tracks.identity.min() == 1


def test_the_share_of_missed_observations_is_as_asked_and_in_gaps(videos):
    errors = replace(NONE, miss=0.2, miss_length=4)
    missed, gaps = [], 0
    for seed in range(4):
        for video, tracks in zip(videos, run(videos, errors, seed), strict=True):
            found = {(f, *b) for f, b in zip(tracks.frame.tolist(), tracks.box.round(3).tolist(), strict=True)}
            for rows in video.truth.tracks().values():
                lost = [(int(video.truth.frame[r]), *video.truth.box[r].round(3)) not in found for r in rows]
                missed += lost
                gaps += (np.diff(np.array([False, *lost], int)) == 1).sum()
    assert np.mean(missed) == pytest.approx(0.2, abs=0.03)
    assert 3 < np.sum(missed) / gaps < 4.5


def test_jitter_is_a_share_of_the_size_and_remembers(videos):
    video = videos[0]
    inner = (video.truth.box[:, 0] > 40) & (video.truth.box[:, 2] < 1200) & (video.truth.box[:, 3] < 360)
    size = video.truth.box[:, 2:] - video.truth.box[:, :2]
    moves = []
    for memory in (0.0, 0.9):
        tracks = simulate_tracker(video, replace(NONE, jitter=0.05, jitter_memory=memory), 3)
        shift = ((tracks.box - video.truth.box)[:, :2] + (tracks.box - video.truth.box)[:, 2:]) / 2 / size
        assert shift[inner].std() == pytest.approx(0.05, rel=0.15)
        moves.append(np.mean([np.abs(np.diff(shift[rows, 0])).mean() for rows in video.truth.tracks().values()]))
    assert moves[1] < 0.6 * moves[0]


def test_fragments_begin_at_the_rate_asked(videos):
    new = sum(
        len(tracks.tracks()) - len(video.truth.tracks())
        for seed in range(5)
        for video, tracks in zip(videos, run(videos, replace(NONE, fragment=0.05), seed), strict=True)
    )
    assert new / (5 * sum(len(v.truth) for v in videos)) == pytest.approx(0.05, rel=0.15)


def test_switches_exchange_identities_of_neighbours_of_one_category(videos):
    switched = 0
    for video, tracks in zip(videos, run(videos, replace(NONE, switch=0.3)), strict=True):
        assert len(tracks.tracks()) == len(video.truth.tracks())
        for rows in tracks.tracks().values():
            assert len(set(tracks.category[rows])) == 1
            switched += len(set(video.truth.identity[rows])) > 1
    assert switched >= 4


def test_invented_boxes_are_as_many_as_asked_and_short_lived(videos):
    invented, lengths = 0, []
    for seed in range(4):
        for video, tracks in zip(videos, run(videos, replace(NONE, invent=0.2, invent_length=5), seed), strict=True):
            for rows in tracks.tracks().values():
                if (
                    tracks.confidence[rows].max() <= 0.7
                    and len(rows) < 100
                    and tracks.identity[rows[0]] > len(video.truth.tracks())
                ):
                    invented += len(rows)
                    lengths.append(len(rows))
    assert invented / (4 * sum(len(v.truth) for v in videos)) == pytest.approx(0.2, rel=0.2)
    assert 3.5 < np.mean(lengths) < 6


def test_the_seed_and_the_name_of_the_video_decide(videos):
    first, again, other = (simulate_tracker(videos[0], TrackerErrors(), seed) for seed in (5, 5, 6))
    assert np.array_equal(first.box, again.box) and np.array_equal(first.identity, again.identity)
    assert len(first) != len(other) or not np.array_equal(first.box, other.box)
    renamed = replace(videos[0], name="elsewhere")
    assert not np.array_equal(simulate_tracker(renamed, TrackerErrors(), 5).box[:5], first.box[:5])


def test_boxes_stay_in_the_frame_and_identities_are_dense(videos):
    for tracks in run(videos, TrackerErrors(scale=3)):
        assert (tracks.box >= 0).all() and (tracks.box <= [1242, 375, 1242, 375]).all()
        assert (tracks.box[:, 2:] > tracks.box[:, :2]).all()
        assert set(tracks.identity) == set(range(1, len(tracks.tracks()) + 1))
        assert ((tracks.confidence > 0) & (tracks.confidence <= 1)).all()


def test_a_video_without_objects_gives_no_tracks():
    empty = Video(
        "empty", (375, 1242), ImageFiles(["a", "b"]), TrackSet.empty(("pedestrian", "car")), (), make_labels([], [], (0, 0))
    )
    tracks = simulate_tracker(empty, TrackerErrors(), 0)
    assert len(tracks) == 0 and tracks.categories == ("pedestrian", "car")


@pytest.mark.parametrize("wrong", [{"miss": -0.1}, {"miss_length": 0.5}, {"jitter_memory": 1.0}, {"scale": float("nan")}])
def test_impossible_rates_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrackerErrors(**wrong)
