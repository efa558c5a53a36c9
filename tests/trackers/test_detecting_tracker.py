"""Detector and associator as a tracker: pixels of the original frame, repair of tracks, a cache that goes on."""

import numpy as np
import pytest
from moving import Squares, detections, find_squares, video, walk

from flexhook.errors import ConfigError, InputError
from flexhook.structures import TrackSet
from flexhook.trackers import detection_cache
from flexhook.trackers.associators.algorithms import BotSort, ByteTrack
from flexhook.trackers.detect import DetectingTracker
from flexhook.trackers.detections import make_detections
from flexhook.trackers.detectors.adapters import FunctionDetector, GivenDetections
from flexhook.trackers.detectors.background import BackgroundSubtraction
from flexhook.trackers.repair import drop_short, fill_gaps, one_category, recover_boxes

ONE, OTHER = walk((10, 10), (3, 0), 20), walk((130, 60), (-3, 0), 20)
OFF = {"recover": 0, "fill_gaps": 0, "min_length": 1}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(detection_cache, "BLOCK", 6)


class Counting(FunctionDetector):
    """Finds the squares, and counts the frames that it has seen; it may fail at one."""

    def __init__(self, name="squares", fails_at=None, **more):
        super().__init__(find_squares, ["square"], name, **more)
        self.seen, self.fails_at = 0, fails_at

    def detect(self, frames):
        for _ in frames:
            if self.seen == self.fails_at:
                raise KeyboardInterrupt
            self.seen += 1
        return super().detect(frames)


def test_tracks_are_in_pixels_of_the_original_frame_whatever_size_the_pictures_have():
    tracks = DetectingTracker(Counting(), ByteTrack()).track(video(Squares(ONE, OTHER, scale=0.5)))
    assert len(tracks) == 40 and set(tracks.identity) == {1, 2} and tracks.categories == ("square",)
    first = tracks.box[tracks.identity == tracks.identity[np.argmin(tracks.box[:2, 0])]]
    assert np.abs(first - ONE).max() <= 2 and set(tracks.category) == {0}


def test_motion_compensation_sees_boxes_in_pixels_of_the_picture():
    plain = DetectingTracker(Counting(), BotSort(enable_cmc=False)).track(video(Squares(ONE, OTHER, scale=0.5)))
    compensated = DetectingTracker(Counting(), BotSort()).track(video(Squares(ONE, OTHER, scale=0.5)))
    assert len(plain) == len(compensated) == 40 and np.array_equal(plain.box, compensated.box)


def test_first_boxes_that_the_associator_held_back_are_given_back():
    clip = video(Squares(ONE))
    given = GivenDetections(detections(ONE))
    associator = ByteTrack(minimum_consecutive_frames=3)
    short = DetectingTracker(given, associator, **OFF).track(clip)
    whole = DetectingTracker(given, associator, **OFF | {"recover": 3}).track(clip)
    assert short.frame.tolist() == list(range(2, 20)) and whole.frame.tolist() == list(range(20))
    assert np.allclose(whole.box, ONE)


def test_gaps_up_to_the_limit_are_interpolated():
    tracks = TrackSet.build([0, 1, 4, 5, 9], [1] * 5, [[10 * f, 0, 10 * f + 5, 5] for f in (0, 1, 4, 5, 9)],
                            confidence=[1, 1, 0.4, 1, 1])  # fmt: skip
    filled = fill_gaps(tracks, 2)
    assert filled.frame.tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert filled.box[2].tolist() == [20, 0, 25, 5] and filled.confidence[2] == pytest.approx(0.8)
    assert fill_gaps(tracks, 0) is tracks and len(fill_gaps(tracks, 3)) == 10


def test_short_tracks_are_left_out():
    tracks = TrackSet.build([0, 1, 2, 0, 1], [1, 1, 1, 2, 2], np.tile([0, 0, 5, 5], (5, 1)))
    assert set(drop_short(tracks, 3).identity) == {1} and len(drop_short(tracks, 1)) == 5


def test_a_track_has_the_class_that_most_of_its_scores_speak_for():
    tracks = TrackSet.build([0, 1, 2], [7, 7, 7], np.tile([0, 0, 5, 5], (3, 1)), [0, 1, 1], [0.9, 0.3, 0.4], ("a", "b"))
    assert one_category(tracks).category.tolist() == [0, 0, 0]


def test_a_held_back_box_goes_to_one_track_and_only_to_its_class():
    tracks = TrackSet.build([3, 3], [1, 2], [[0, 0, 10, 10], [1, 0, 11, 10]], [0, 0])
    left = TrackSet.build([2, 2], [0, 1], [[0, 0, 10, 10], [0, 0, 10, 10]], [0, 1])
    found = recover_boxes(tracks, left, 3)
    assert len(found) == 3 and found.identity.tolist() == [1, 1, 2]


def test_going_back_stops_at_the_track_itself_and_where_nothing_overlaps():
    tracks = TrackSet.build([0, 4], [1, 1], [[0, 0, 10, 10]] * 2)
    left = TrackSet.build([0, 2, 3], [0, 1, 2], [[0, 0, 10, 10], [50, 0, 60, 10], [1, 0, 11, 10]])
    assert recover_boxes(tracks, left, 9).frame.tolist() == [0, 3, 4]


def test_detections_are_kept_and_association_is_computed_anew():
    clip, first = video(Squares(ONE, OTHER)), Counting()
    tracks = DetectingTracker(first, ByteTrack()).track(clip)
    again = Counting()
    other = DetectingTracker(again, ByteTrack(minimum_consecutive_frames=5), **OFF).track(clip)
    assert first.seen == 20 and again.seen == 0 and len(other) == 32 and len(tracks) == 40
    assert np.array_equal(tracks.box, DetectingTracker(again, ByteTrack()).track(clip).box)


def test_other_weights_or_thresholds_detect_anew():
    clip = video(Squares(ONE))
    DetectingTracker(Counting(), ByteTrack()).track(clip)
    other = Counting("squares of another threshold")
    DetectingTracker(other, ByteTrack()).track(clip)
    assert other.seen == 20


def test_an_interrupted_detection_goes_on_with_the_next_block():
    clip = video(Squares(ONE, OTHER))
    whole = DetectingTracker(Counting("whole"), ByteTrack()).track(clip)
    with pytest.raises(KeyboardInterrupt):
        DetectingTracker(Counting(fails_at=15), ByteTrack(), batch_size=4).track(clip)
    rest, counted = Counting(), []
    tracker = DetectingTracker(rest, ByteTrack(), batch_size=4)
    tracks = tracker.associate(clip, tracker.detect(clip, counted.append))
    assert rest.seen == 8 and sum(counted) == 20  # blocks of six: twelve frames were done
    assert np.array_equal(tracks.box, whole.box)


def test_a_detector_with_memory_is_shown_the_frames_before_the_block_that_is_missing():
    clip = video(Squares(walk((10, 10), (3, 0), 30)))
    settings = {"min_area": 0.0005, "warmup": 2}

    def boxes(detector):
        return [one.xyxy.tolist() for one in detection_cache.detect_video(detector, clip, 4)]

    whole = boxes(BackgroundSubtraction(**settings))
    detector = BackgroundSubtraction(**settings)
    folder = detection_cache.cache_folder() / "detections"
    for path in sorted(folder.glob("clip_12-*")):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    clip.frames.reads.clear()
    assert boxes(detector) == whole and any(whole[14])
    assert clip.frames.reads == list(range(18))  # up to the end of the block that was missing


def test_every_second_frame_is_looked_at_and_the_others_are_interpolated():
    clip, detector = video(Squares(ONE, OTHER)), Counting()
    tracks = DetectingTracker(detector, ByteTrack(), every=2).track(clip)
    assert detector.seen == 10 and set(clip.frames.reads) == set(range(0, 20, 2))
    assert len(tracks) == 38 and tracks.frame.max() == 18
    boxes = tracks.box[tracks.identity == tracks.identity[np.argmin(tracks.box[:2, 0])]]
    assert np.abs(boxes - ONE[:19]).max() <= 1
    given = DetectingTracker(GivenDetections(detections(ONE)), ByteTrack(), every=3, **OFF | {"recover": 3}).track(clip)
    assert given.frame.tolist() == list(range(19)) and np.allclose(given.box, ONE[:19])


def test_without_a_cache_all_frames_are_detected_each_time():
    clip, detector = video(Squares(ONE)), Counting()
    tracker = DetectingTracker(detector, ByteTrack(), cache_dir="off")
    tracker.track(clip)
    tracker.track(clip)
    assert detector.seen == 40


def test_the_frame_rate_is_the_videos_own_where_it_says_one():
    tracker = DetectingTracker(Counting(), ByteTrack(), frame_rate=12.0)
    assert tracker.rate_of(video(Squares(ONE, frame_rate=25.0))) == 25.0 and tracker.rate_of(video(Squares(ONE))) == 12.0


def test_live_tracking_gives_what_the_whole_video_gives_without_looking_ahead():
    clip = video(Squares(ONE, OTHER))
    tracker = DetectingTracker(Counting(), ByteTrack(), vote_class=False, **OFF)
    whole = tracker.track(clip)
    live = tracker.live(10.0)
    for frame in range(20):
        found = live.update(clip.frames.read(frame))
        rows = whole.frame == frame
        assert dict(zip(found.tracker_id.tolist(), found.xyxy.tolist(), strict=True)) == dict(
            zip(whole.identity[rows].tolist(), whole.box[rows].tolist(), strict=True)
        )


def test_live_tracking_of_given_detections_is_refused():
    with pytest.raises(ConfigError, match="whole video"):
        DetectingTracker(GivenDetections(detections(ONE)), ByteTrack()).live()


def test_weak_detections_are_left_out_after_the_cache():
    weak = [make_detections([ONE[k], OTHER[k]], [0.9, 0.3]) for k in range(20)]
    associator = ByteTrack(track_activation_threshold=0.2, high_conf_det_threshold=0.2)
    clip = video(Squares(ONE, OTHER))
    assert len(DetectingTracker(GivenDetections(weak), associator, min_confidence=0.5).track(clip)) == 20
    assert len(DetectingTracker(GivenDetections(weak), associator).track(clip)) == 40


def test_given_detections_must_be_of_every_frame():
    with pytest.raises(InputError, match="detections of 20 frames"):
        DetectingTracker(GivenDetections(detections(ONE)), ByteTrack()).track(video(Squares(ONE[:5])))


def test_a_video_without_detections_has_no_tracks():
    tracks = DetectingTracker(GivenDetections([make_detections([])] * 20), ByteTrack()).track(video(Squares(ONE)))
    assert len(tracks) == 0 and tracks.categories == ("object",)


def test_keys_differ_by_all_that_makes_the_tracks():
    clip = video(Squares(ONE))
    made = [DetectingTracker(Counting(), ByteTrack()), DetectingTracker(Counting("other"), ByteTrack()),
            DetectingTracker(Counting(), BotSort()), DetectingTracker(Counting(), ByteTrack(), fill_gaps=0)]
    assert len({tracker.key(clip) for tracker in made}) == 4
    assert made[0].key(clip) == DetectingTracker(Counting(), ByteTrack()).key(clip) != made[0].key(video(Squares(OTHER)))


@pytest.mark.parametrize(("name", "value"), [("fill_gaps", -1), ("min_confidence", "a"), ("frame_rate", 0), ("batch_size", 0)])
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"tracker.{name} is"):
        DetectingTracker(Counting(), ByteTrack(), **{name: value})


