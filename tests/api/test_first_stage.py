"""predict without tracks: a detector finds the objects; each frame is decoded once; unfamiliar sentences; cameras."""

import json

import av
import numpy as np
import pandas as pd
import pytest
from tiny_video import SIZE
from toy_world import run_here

import flexhook
from flexhook.api.model import once_decoded
from flexhook.datasets.mot import read_mot
from flexhook.errors import ConfigError, InputError
from flexhook.inference.prediction import predict_block
from flexhook.media.frame_wrappers import KeptFrames, read_resized, watched
from flexhook.media.images import resize
from flexhook.media.video_files import VideoWriter
from flexhook.structures import Expression, Frames, TrackSet, Video, make_labels
from flexhook.structures.result_files import read_results
from flexhook.structures.result_folder import merge_expressions
from flexhook.trackers.associators.algorithms import ByteTrack
from flexhook.trackers.detect import DetectingTracker
from flexhook.trackers.detections import make_detections
from flexhook.trackers.detectors.adapters import FunctionDetector
from flexhook.trackers.given import GivenTracks

FIRST_STAGE = ["detector=background", "detector.warmup=1", "detector.min_area=0.001", "associator=ocsort",
               "associator.minimum_consecutive_frames=1", "tracker.min_length=1"]  # fmt: skip


class CountedFrames(Frames):
    """Frames of noise with a bright square that moves; they count how often each is read."""

    def __init__(self, count):
        self.count, self.reads = count, []

    def __len__(self):
        return self.count

    def read(self, index):
        self.reads.append(index)
        image = np.random.default_rng(index).integers(0, 60, (*SIZE, 3), np.uint8)
        image[20:40, 10 + 4 * index : 40 + 4 * index] = 230
        return image


def bright(frame):
    """One box around what is bright."""
    row, column = np.nonzero(frame.min(2) > 200)
    return make_detections([[column.min(), row.min(), column.max() + 1, row.max() + 1]], [0.9], [0])


def first_stage():
    tracker = DetectingTracker(FunctionDetector(bright, ["square"], "bright"), ByteTrack(minimum_consecutive_frames=1),
                               min_length=1, batch_size=4)  # fmt: skip
    tracker.cache_dir = "off"
    return tracker


def counted_video(count=12):
    expressions = (Expression("cars", "cars"), Expression("red cars", "red-cars"))
    return Video("clip", SIZE, CountedFrames(count), TrackSet.empty(), expressions, make_labels([], [], (0, 2)))


def scores(method, video, folder):
    predict_block(method, video, folder, key="")
    merge_expressions(folder, {video.name: video.expressions})
    return list(read_results(folder, video.name))


def test_each_frame_is_decoded_once_for_both_stages_and_the_scores_are_the_same(model, tmp_path):
    tracker, plain = first_stage(), counted_video()
    tracks = tracker.track(plain)
    model.method.tracker = GivenTracks(tracks)
    expected = scores(model.method, counted_video(), tmp_path / "a")
    video = once_decoded(counted_video(), model.method, tracker)
    found = tracker.track(video)
    assert (found.box == tracks.box).all() and len(found) == 12
    seen = []
    got = scores(model.method, watched(video, seen.append), tmp_path / "b")
    assert sorted(video.frames.frames.reads) == list(range(12))
    assert sum(seen) == 12  # what a progress bar counts
    for one, other in zip(got, expected, strict=True):
        assert (one.score == other.score).all() and len(one.score) == 12


def test_copies_that_the_disk_has_no_room_for_are_decoded_again(monkeypatch):
    video = counted_video(3)
    frames = KeptFrames(video.frames, SIZE, (16, 48))
    kept = Video("clip", SIZE, frames, video.truth, video.expressions, video.labels)
    frames.read(0)
    monkeypatch.setattr("os.pwrite", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    frames.read(1)
    assert frames.kept(1, (16, 48)) is None and frames.kept(0, (32, 96)) is None
    for k in range(3):
        assert (read_resized(kept, k, (16, 48)) == resize(counted_video(3).frames.read(k), (16, 48))).all()
    assert video.frames.reads == [0, 1, 1, 2]


def test_frames_of_another_aspect_ratio_are_refused_while_a_detector_reads():
    frames = KeptFrames(CountedFrames(2), (64, 100), (16, 48))
    with pytest.raises(InputError, match="192x64"):
        frames.read(0)


def test_predict_from_python_finds_objects_itself(model, tmp_path):
    frames = [CountedFrames(12).read(k) for k in range(12)]
    result = model.predict(frames, ["cars"], tracker=first_stage(), threshold=0.0)
    assert len(result["cars"].chosen) == 12 and set(result["cars"].chosen.identity) == {1}
    stage = flexhook.first_stage("detector=background", "detector.warmup=2", "associator=ocsort")
    assert stage.detector.warmup == 2 and type(stage.associator).__name__ == "OCSort"
    with pytest.raises(ConfigError, match="Could not find 'detector/none'"):
        flexhook.first_stage("detector=none")
    with pytest.raises(ConfigError, match="replace the first stage"):
        flexhook.first_stage("tracker=truth")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of a fixed camera in one folder, in each a square that moves."""
    folder = tmp_path_factory.mktemp("clips")
    for name, step in (("left.mp4", 3), ("right.mp4", -3)):
        with VideoWriter(folder / name, frame_rate=25, quality=5) as out:
            for k in range(30):
                image = np.full((*SIZE, 3), 90, np.uint8)
                at = (10 if step > 0 else 150) + step * k
                image[20:44, at : at + 30] = (230, 40, 40)
                out.write(image)
    return folder


def predict(toy, folder, *arguments, sentences=("cars", "red cars")):
    checkpoint = next((toy.run / "checkpoints").glob("last.ckpt"))
    return run_here(["predict", f"ckpt={checkpoint}", f"sentences={json.dumps(list(sentences))}", f"out={folder}/out",
                     "threshold=0", *arguments], folder)  # fmt: skip


def frames_of(path):
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0)), float(video.streams.video[0].average_rate)


def test_predict_without_tracks_takes_a_detector_and_many_videos(toy, clips, tmp_path):
    (tmp_path / "asked.txt").write_text("cars\nred cars\n")
    checkpoint = next((toy.run / "checkpoints").glob("last.ckpt"))
    arguments = [f"ckpt={checkpoint}", f"sentences={tmp_path}/asked.txt", f"video={clips}", "overlay=all", "threshold=0"]
    status, said = run_here(["predict", *arguments, f"out={tmp_path}/out", *FIRST_STAGE], tmp_path)
    assert status == 0, said
    for name in ("left", "right"):
        folder = tmp_path / "out" / name
        tracks = read_mot(folder / "red-cars.txt", first_frame=1)
        assert len(tracks) > 20 and 1 in tracks.identity
        assert len(pd.read_csv(folder / "cars.csv")) == len(tracks)
        assert frames_of(folder / f"{name}.mp4") == (30, 25.0)
        assert not (folder / "cars.mp4").exists()
    assert "with the first stage" in said and "frames per second" in said


def test_one_file_of_tracks_is_not_for_several_videos(toy, clips, tmp_path):
    status, said = predict(toy, tmp_path, f"video={clips}", f"tracks={toy.tracks}")
    assert status == 2 and "2 videos and one file of tracks" in said and "tracker=per_video" in said


def test_a_live_source_gives_the_files_of_a_whole_video(toy, clips, tmp_path):
    status, said = predict(toy, tmp_path, f"video=file://{clips}/left.mp4", *FIRST_STAGE)
    assert status == 0, said
    table = pd.read_csv(tmp_path / "out/red-cars.csv")
    tracks = read_mot(tmp_path / "out/red-cars.txt", first_frame=1)
    assert len(table) == len(tracks) > 20 and table.frame.max() == tracks.frame.max() == 29
    assert table.seconds.iloc[-1] == pytest.approx(29 / 25)
    (video,) = (tmp_path / "out").glob("*.mp4")
    assert frames_of(video) == (30, 25.0)
    assert "30 frames in" in said
    status, said = predict(toy, tmp_path, f"video=file://{clips}/left.mp4", "frames=7", "overlay=false", *FIRST_STAGE)
    assert status == 0 and "7 frames in" in said
    assert pd.read_csv(tmp_path / "out/red-cars.csv").frame.max() == 6


def test_given_tracks_do_not_go_with_a_camera(toy, clips, tmp_path):
    status, said = predict(toy, tmp_path, f"video=file://{clips}/left.mp4", f"tracks={toy.tracks}")
    assert status == 2 and "tracks are given for a camera or stream" in said


def test_sentences_with_words_that_the_training_did_not_have_are_told(toy, clips, tmp_path, model):
    sentences = ("cars", "zebras at the crossing")
    status, said = predict(toy, tmp_path, f"video={clips}/left.mp4", "overlay=false", *FIRST_STAGE, sentences=sentences)
    assert status == 0
    assert "“zebras at the crossing” is unlike what the model was trained on: no training sentence has “zebras”" in said
    assert "“cars” is unlike" not in said
    with pytest.warns(UserWarning, match="“zebras”"):
        model.predict([CountedFrames(2).read(k) for k in range(2)], sentences, tracker=first_stage())
