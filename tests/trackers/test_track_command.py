"""`flexhook track`: MOT files with classes from videos, folders, datasets and live sources, readable by every other command."""

import json

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from moving import Squares, walk
from omegaconf import OmegaConf
from PIL import Image
from toy_world import put, run_here, toy_overrides, write_toy_world

from flexhook.configuration.resolvers import config_folder
from flexhook.datasets.mot import read_class_names, read_mot
from flexhook.errors import InputError
from flexhook.media.cameras import LiveFrames, is_live
from flexhook.media.video_files import VideoWriter, open_frames
from flexhook.structures import TrackSet, Video, make_labels
from flexhook.sweeps.study import find_study
from flexhook.trackers.mot_files import TrackerFiles
from flexhook.training.resume import AFTER_TRAINING

BOXES = walk((-40, 30), (3, 0), 50)
BACKGROUND = ["detector=background", "detector.min_area=0.005", "associator=bytetrack"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video of a square that comes in and crosses the picture, 25 frames per second."""
    path = tmp_path_factory.mktemp("clip") / "square.mp4"
    frames = Squares(BOXES)
    with VideoWriter(path, frame_rate=25.0, quality=5) as writer:
        for k in range(len(frames)):
            writer.write(frames.read(k))
    return path


def track(folder, *overrides):
    return run_here(["track", *overrides, f"out={folder}/tracks"], folder)


def test_a_video_file_becomes_a_mot_file_of_ten_columns_with_named_classes(clip, tmp_path):
    status, said = track(tmp_path, f"video={clip}", *BACKGROUND, "detector.name=square")
    assert status == 0, said
    rows = [line.split(",") for line in (tmp_path / "tracks/square.txt").read_text().splitlines()]
    assert all(len(row) == 10 and row[7:] == ["1", "-1", "-1"] for row in rows)
    assert (tmp_path / "tracks/classes.txt").read_text() == "square\n"
    tracks = read_mot(tmp_path / "tracks/square.txt", first_frame=1, categories=["square"])
    assert set(tracks.identity) == {1} and len(tracks) >= 30
    whole = tracks.select((tracks.frame > 18) & (tracks.frame < 48))
    assert np.abs(whole.box - BOXES[whole.frame]).max() < 4
    assert "square: 1 tracks" in said and "frames per second" in said and "tracker=per_video" in said


def test_its_files_are_tracks_for_every_command(clip, tmp_path):
    assert track(tmp_path, f"video={clip}", *BACKGROUND)[0] == 0
    frames = open_frames(clip)
    video = Video("square", (96, 160), frames, TrackSet.empty(), (), make_labels([], [], (0, 0)))
    read = TrackerFiles(tmp_path / "tracks", layout="per_video")
    tracks = read.track(video)
    assert tracks.categories == ("object",) and set(tracks.category) == {0}
    single = TrackerFiles(tmp_path / "tracks/square.txt", layout="single").track(video)
    assert np.array_equal(single.box, tracks.box) and single.categories == ("object",)
    key = read.key(video)
    (tmp_path / "tracks/classes.txt").write_text("thing\n")
    assert read.key(video) != key and read.track(video).categories == ("thing",)


def test_a_folder_of_images_is_one_video_and_a_folder_of_videos_is_many(clip, tmp_path):
    frames = Squares(BOXES)
    for k in range(len(frames)):
        Image.fromarray(frames.read(k)).save(put(tmp_path / "images" / f"{k:03d}.png"))
    status, said = track(tmp_path, f"video={tmp_path}/images", *BACKGROUND)
    assert status == 0 and (tmp_path / "tracks/images.txt").is_file(), said
    for name in ("b.mp4", "a.mp4"):
        put(tmp_path / "clips" / name).write_bytes(clip.read_bytes())
    status, said = track(tmp_path, f"video={tmp_path}/clips", *BACKGROUND)
    assert status == 0, said
    a, b = ((tmp_path / f"tracks/{name}.txt").read_text() for name in "ab")
    assert a == b and a


def test_a_dataset_is_tracked_from_files_of_detections_and_compared_with_its_truth(tmp_path):
    spans = {1: range(12), 2: range(12)}
    root = write_toy_world(tmp_path / "data", {"u": spans, "v": spans})
    for name in "uv":
        rows = (root / "tracks" / name / "car/predict.txt").read_text().splitlines()
        lines = [",".join([row.split(",")[0], "-1", *row.split(",")[2:]]) for row in rows]
        put(tmp_path / "detections" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    status, said = track(
        tmp_path, "data=refer_kitti", f"data.root={root}", "data.reader.splits.test=[u,v]", "split=test", "detector=mot",
        f"detector.root={tmp_path}/detections", "data.reader.sizes.default=[64,192]", "associator=sort",
        "associator.minimum_iou_threshold=0.1",
    )  # fmt: skip
    assert status == 0, said
    assert sorted(p.name for p in (tmp_path / "tracks").iterdir()) == ["classes.txt", "metrics.json", "u.txt", "v.txt"]
    metrics = json.loads((tmp_path / "tracks/metrics.json").read_text())
    assert metrics["AP50"] == pytest.approx(100) and metrics["HOTA"] > 80
    assert "against the truth: AP50 100.00" in said
    status, said = track(tmp_path, "data=refer_kitti", f"data.root={root}", "data.reader.splits.test=[u,v]", "videos=[w]",
                         "detector=mot", f"detector.root={tmp_path}/detections")  # fmt: skip
    assert status == 2 and "has no video w" in said


def test_a_live_source_is_tracked_until_it_ends_or_for_so_many_frames(clip, tmp_path):
    status, said = track(tmp_path, f"video=file://{clip}", *BACKGROUND)
    assert status == 0 and "in 50 frames" in said, said
    file = next((tmp_path / "tracks").glob("*square*.txt"))
    tracks = read_mot(file, first_frame=1, categories=["object"])
    assert set(tracks.identity) == {1} and tracks.frame.max() >= 45
    status, said = track(tmp_path, f"video=file://{clip}", *BACKGROUND, "frames=30")
    assert status == 0 and "in 30 frames" in said and read_mot(file, first_frame=1).frame.max() < 30


def test_live_sources_are_told_from_files():
    assert is_live(0) and is_live("2") and is_live("rtsp://camera/1") and is_live("HTTP://host/x.mjpg")
    assert not is_live("clip.mp4") and not is_live("/a/b") and not is_live(True)


def test_live_frames_are_those_of_the_video(clip):
    with LiveFrames(f"file://{clip}") as frames:
        found = list(frames)
        assert frames.frame_rate == pytest.approx(25) and frames.size == (96, 160)
    expected = open_frames(clip)
    assert len(found) == 50 and np.abs(found[20].astype(int) - expected.read(20)).max() < 12
    with pytest.raises(InputError, match="gives no frames"):
        LiveFrames("file:///nowhere.mp4")


@pytest.mark.parametrize(("overrides", "words"), [
    ([], "video and data are missing"),
    (["video=nowhere.mp4", "detector=background"], "no such file or folder"),
    (["video=CLIP", "tracker=truth"], "the tracker does not detect"),
    (["video=CLIP", "detector=embedded", "detector.weights=null"], "detector.weights is empty"),
    (["video=CLIP"], "detector=background and detector=embedded need no hub"),
    (["video=CLIP", "detector=background", "associator.lost_track_buffer=-3"], "associator.lost_track_buffer is -3"),
    (["video=CLIP", "detector=background", "associator.speed=3"], "speed"),
    (["video=CLIP", "detector=background", "tracker.fill_gaps=-1"], "tracker.fill_gaps is -1"),
])  # fmt: skip
def test_mistakes_end_in_one_message(clip, tmp_path, overrides, words):
    status, said = track(tmp_path, *(o.replace("CLIP", str(clip)) for o in overrides))
    assert status == 2 and words in said and "Traceback" not in said, said


def test_a_folder_with_tracks_of_other_classes_is_left_alone(clip, tmp_path):
    assert track(tmp_path, f"video={clip}", *BACKGROUND)[0] == 0
    before = (tmp_path / "tracks/square.txt").read_text()
    status, said = track(tmp_path, f"video={clip}", *BACKGROUND, "detector.name=other")
    assert status == 2 and "holds tracks of the classes object" in said
    assert (tmp_path / "tracks/square.txt").read_text() == before and read_class_names(tmp_path / "tracks") == ("object",)


def test_classes_that_do_not_fit_their_names_are_told(tmp_path):
    (tmp_path / "a.txt").write_text("1,1,0,0,5,5,1,1,-1,-1\n1,2,0,0,5,5,1,3,-1,-1\n1,4,0,0,5,5,1,-1,-1,-1\n")
    with pytest.raises(InputError, match=r"a.txt:2: the class is 3, and classes.txt beside it has 2 names"):
        read_mot(tmp_path / "a.txt", first_frame=1, categories=["car", "person"])
    found = read_mot(tmp_path / "a.txt", first_frame=1, categories=["car", "person", "dog"])
    assert found.category.tolist() == [0, 2, -1]
    (tmp_path / "classes.txt").write_text("car\ncar\n")
    with pytest.raises(InputError, match=r"classes.txt:2: the class 'car' occurs twice"):
        read_class_names(tmp_path)


def test_other_commands_take_the_tracker_detect(tmp_path):
    spans = {1: range(12), 2: range(2, 12)}
    root = write_toy_world(tmp_path / "data", dict.fromkeys("tvu", spans))
    first_stage = ["tracker=detect", "detector=mot", f"detector.root={root}/tracks", "associator=sort",
                   """detector.pattern='{video}/car/predict.txt'""", "associator.minimum_iou_threshold=0.05"]
    data = ["data=refer_kitti", f"data.root={root}", "data.reader.sizes.default=[64,192]"]
    status, said = run_here(["data", "stats", "--no-plot", *data, "data.reader.splits={test: [u]}", *first_stage], tmp_path)
    assert status == 0 and "tracker DetectingTracker" in said and "tracker HOTA" in said, said
    run = tmp_path / "run"
    settings = [*toy_overrides(root, "t", "v", "u"), "trainer=cpu", "optim.epochs=1"]
    status, said = run_here(["train", *settings, *first_stage, f"hydra.run.dir={run}"], tmp_path)
    assert status == 0 and "test/HOTA" in json.loads((run / "metrics.json").read_text()), said
    score = ["score", f"ckpt={run}/checkpoints/last.ckpt", "accelerator=cpu"]
    scored = {}
    for name, more in {"as trained": [], "given": first_stage, "truth": ["tracker=truth"]}.items():
        status, said = run_here([*score, f"out={tmp_path}/{name}", *more], tmp_path)
        assert status == 0, said
        scored[name] = np.load(tmp_path / name / "scores/u.npz")["box"]
    assert np.array_equal(scored["as trained"], scored["given"]) and len(scored["given"]) <= len(scored["truth"]) == 22


def test_the_study_of_first_stages_names_runs_that_differ_in_the_tracker_alone():
    runs = find_study("trackers").runs
    wanted = {f"trackers/{a}{h}" for a in ("sort", "bytetrack", "ocsort", "botsort") for h in ("", "_half")}
    wanted |= {"trackers/truth", "trackers/simulated", *(f"trackers/bytetrack_{t}" for t in (0.2, 0.3, 0.5))}
    assert set(runs) == wanted
    composed = {}
    for run in runs:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            composed[run] = compose("train", overrides=["experiment=synthetic_small", f"ablation={run}"])
    plain = [OmegaConf.to_container(cfg, resolve=False) for cfg in composed.values()]
    trained = [{k: v for k, v in cfg.items() if k not in AFTER_TRAINING} for cfg in plain]
    assert all(one == trained[0] for one in trained)
    half = composed["trackers/ocsort_half"]
    assert half.tracker.every == 2 and half.associator._target_.endswith("OCSort") and half.tracker.min_confidence == 0.4
    assert composed["trackers/bytetrack_0.5"].tracker.min_confidence == 0.5
