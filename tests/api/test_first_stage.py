"""predict without tracks: a detector finds the objects; each frame is decoded once; unfamiliar sentences; cameras."""

import json
import pickle
from fractions import Fraction
from functools import reduce

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image
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


def test_a_first_stage_in_the_command_line_stands_anywhere(toy, clips, tmp_path):
    """`-m` and `--cfg job` may come first."""
    checkpoint = next((toy.run / "checkpoints").glob("last.ckpt"))
    composed = ["predict", "--cfg", "job", f"video={clips}/left.mp4", "sentences=cars", f"ckpt={checkpoint}"]
    status, said = run_here(composed, tmp_path)
    assert status == 0 and "detector:" in said, said
    argv = ["predict", "-m", *composed[3:], "threshold=0,1", "overlay=false", f"out={tmp_path}/out", *FIRST_STAGE]
    status, said = run_here(argv, tmp_path)
    assert status == 0, said
    lines = [len((tmp_path / "out" / name / "cars.txt").read_text().splitlines()) for name in ("left", "left-2")]
    assert lines[0] > 20 and lines[1] == 0  # no job takes another's place
    assert run_here(argv, tmp_path)[0] == 0 and sorted(p.name for p in (tmp_path / "out").iterdir()) == ["left", "left-2"]


def test_results_lie_in_a_folder_per_video(toy, clips, tmp_path):
    checkpoint = next((toy.run / "checkpoints").glob("last.ckpt"))
    argv = ["predict", "sentences=cars", f"ckpt={checkpoint}", "overlay=false", "threshold=0", *FIRST_STAGE]
    for name in ("left", "right"):
        status, said = run_here([*argv, f"video={clips}/{name}.mp4"], tmp_path)
        assert status == 0, said
        assert json.loads((tmp_path / "outputs/predict" / name / "video.json").read_text())["size"] == list(SIZE)
    status, said = run_here([*argv, f"video={clips}/left.mp4", f"out={tmp_path}/outputs/predict/right"], tmp_path)
    assert status == 2 and "results of the video" in said and "right.mp4" in said, said


def test_an_overlay_of_other_results_does_not_stay(toy, clips, tmp_path):
    assert predict(toy, tmp_path, f"video={clips}/left.mp4", *FIRST_STAGE)[0] == 0
    assert (tmp_path / "out/cars.mp4").is_file()
    assert predict(toy, tmp_path, f"video={clips}/left.mp4", "overlay=false", "vote=true", *FIRST_STAGE)[0] == 0
    assert not (tmp_path / "out/cars.mp4").exists() and (tmp_path / "out/cars.txt").is_file()


def test_a_video_of_ones_own_beside_the_results_is_left_alone(toy, clips, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/cars.mp4").write_bytes(b"not an overlay of ours")
    assert predict(toy, tmp_path, f"video={clips}/left.mp4", "overlay=false", *FIRST_STAGE)[0] == 0
    assert (tmp_path / "out/cars.mp4").read_bytes() == b"not an overlay of ours"


def test_render_takes_the_folder_of_predict(toy, clips, tmp_path):
    assert predict(toy, tmp_path, f"video={clips}/left.mp4", "overlay=false", *FIRST_STAGE)[0] == 0
    status, said = run_here(["render", tmp_path / "out"], tmp_path)
    assert status == 0, said
    made = {p.name for p in (tmp_path / "out/pictures/left").iterdir()}
    assert made == {"cars.png", "cars.mp4", "red-cars.png", "red-cars.mp4"}
    (tmp_path / "out/video.json").write_text('{"name": "left", "video": 3, "size": [1]}')
    status, said = run_here(["render", tmp_path / "out"], tmp_path)
    assert status == 2 and "the note of the video is malformed" in said


def test_evaluate_takes_the_folder_of_predict(toy, tmp_path):
    checkpoint = next((toy.run / "checkpoints").glob("last.ckpt"))
    root = toy.tracks.parents[3]
    status, said = run_here(["predict", f"video={toy.video}", f"tracks={toy.tracks}", f"ckpt={checkpoint}", "overlay=false",
                             f"out={tmp_path}/out", 'sentences=["cars", "cars with odd plates"]',
                             f"frame_size=[{SIZE[0]},{SIZE[1]}]"], tmp_path)  # fmt: skip
    assert status == 0, said
    data = ["data=refer_kitti", f"data.root={root}", "data.reader.splits.test=[u]",
            f"data.reader.sizes.default=[{SIZE[0]},{SIZE[1]}]"]  # fmt: skip
    status, said = run_here(["evaluate", f"run={tmp_path}/out", *data], tmp_path)
    assert status == 0, said
    metrics = json.loads((tmp_path / "out/metrics_part.json").read_text())
    assert metrics["oracle/HOTA"] == 100  # the tracks are the true ones
    assert "lists 2 sequences and leaves out 2" in said
    status, said = run_here(["evaluate", f"run={tmp_path}/out"], tmp_path)
    assert status == 2 and "the dataset is not named" in said


@pytest.mark.parametrize(("arguments", "words"), [
    (["video=CLIP", "show=true"], "show and frames are for cameras"),
    (["video=CLIP", "frames=3"], "show and frames are for cameras"),
    (["video=file://CLIP", "show=true"], "there is no display"),
    (["video=CLIP", "tracks=TRACKS", "detector=background"], "tracks and detector are both given"),
    (["video=file://CLIP", "sentences=[1]"], "sentences is [1]"),
    (["video=FOLDER"], "the folder holds videos, such as left.mp4, and images"),
])  # fmt: skip
def test_what_does_not_go_together_is_told(toy, clips, tmp_path, monkeypatch, arguments, words):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "left.mp4").write_bytes((clips / "left.mp4").read_bytes())
    Image.new("RGB", (20, 20)).save(mixed / "thumb.png")
    places = {"CLIP": f"{clips}/left.mp4", "TRACKS": str(toy.tracks), "FOLDER": str(mixed)}
    given = [reduce(lambda text, pair: text.replace(*pair), places.items(), a) for a in arguments]
    status, said = predict(toy, tmp_path, *given, *([] if "detector" in words else FIRST_STAGE))
    assert status == 2 and words in said and "Traceback" not in said, said
    assert not list(tmp_path.glob("out/*.tmp"))


def test_frames_of_ones_own_are_not_taken_for_others_of_their_size(model):
    class Shifted(CountedFrames):
        def read(self, index):
            return np.roll(super().read(index), 60, 1)

    tracker = first_stage()
    tracker.cache_dir = None
    here, there = (model.predict(frames, ["cars"], tracker=tracker, threshold=0.0) for frames in (CountedFrames(8), Shifted(8)))
    shift = there["cars"].chosen.box[:, 0] - here["cars"].chosen.box[:, 0]
    assert len(shift) == 8 and (shift == 60).all()


def test_two_cameras_are_tracked_at_a_time():
    tracker = first_stage()
    one, other = tracker.live(10), tracker.live(10)
    frames = [CountedFrames(6).read(k) for k in range(6)]
    for frame in frames:
        assert one.update(frame).tracker_id.tolist() == other.update(frame[:, ::-1]).tracker_id.tolist()


def test_a_prediction_can_be_pickled(model):
    result = model.predict([CountedFrames(4).read(k) for k in range(4)], ["cars"], tracker=first_stage(), threshold=0.0)
    again = pickle.loads(pickle.dumps(result))
    assert again["cars"].to_dataframe().equals(result["cars"].to_dataframe())


def test_seconds_follow_the_timestamps_of_the_file(model, tmp_path):
    """Eight frames at ten per second, a pause of five seconds, eight more."""
    with av.open(str(tmp_path / "vfr.mkv"), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.time_base = *SIZE, "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        frames = CountedFrames(16)
        for k in range(16):
            picture = av.VideoFrame.from_ndarray(frames.read(k), format="rgb24")
            picture.pts, picture.time_base = 100 * k + (5000 if k >= 8 else 0), Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    result = model.predict(tmp_path / "vfr.mkv", ["cars"], tracker=first_stage(), threshold=0.0)
    seconds = result["cars"].to_dataframe().seconds.to_numpy()
    assert seconds == pytest.approx([0.1 * k + (5 if k >= 8 else 0) for k in range(16)], abs=0.002)
