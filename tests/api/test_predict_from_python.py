"""flexhook.load and Model.predict: three lines from a video and sentences to tables, files and pictures."""

import json
import shutil
import subprocess
import sys

import av
import numpy as np
import pandas as pd
import pytest
import supervision as sv
import torch
from PIL import Image
from tiny_video import SIZE
from toy_world import run_here

import flexhook
from flexhook.datasets.mot import read_mot
from flexhook.errors import ConfigError, InputError
from flexhook.structures import TrackSet
from flexhook.structures.result_files import read_results
from flexhook.trackers.given import GivenTracks

SENTENCES = ["cars", "cars with odd plates"]


@pytest.fixture(scope="module")
def result(toy, model):
    return model.predict(toy.video, SENTENCES, toy.tracks, frame_size=SIZE, frame_rate=4)


def chosen_name(run):
    return json.loads((run / "meta.json").read_text())["checkpoint"]


def as_detections(tracks, count):
    out = []
    for frame in range(count):
        part = tracks.select(tracks.frame == frame)
        order = np.argsort(part.identity)[::-1]  # any order
        out.append(sv.Detections(part.box[order], tracker_id=part.identity[order]))
    return out


def test_import_is_light():
    """No torch, no NumPy; the names are there, and help finds them."""
    code = ("import sys, time; t = time.perf_counter(); import flexhook; t = time.perf_counter() - t;"
            "print(t, 'torch' in sys.modules, 'numpy' in sys.modules, {'load', 'Model'} <= set(dir(flexhook)))")
    said = min(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
               for _ in range(3))
    assert float(said[0]) < 0.05
    assert said[1:] == ["False", "False", "True"]
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        flexhook.lod  # noqa: B018


def test_predict_agrees_with_the_command(toy, result, tmp_path):
    status, said = run_here([
        "predict", f"video={toy.video}", f"tracks={toy.tracks}", f"sentences={json.dumps(SENTENCES)}", f"out={tmp_path}",
        f"ckpt={toy.run}/checkpoints/{chosen_name(toy.run)}", "frame_size=[64,192]", "overlay=false",
    ], tmp_path)  # fmt: skip
    assert status == 0, said
    assert list(result) == SENTENCES
    for theirs in read_results(tmp_path / "scores", "u"):
        mine = result[theirs.expression.sentence]
        np.testing.assert_allclose(mine.score, theirs.score, atol=1e-7)
        assert mine.accepted.tolist() == theirs.accepted.tolist()
        assert mine.tracks.box.tolist() == theirs.tracks.box.tolist()


@pytest.mark.parametrize("kind", ["frames in memory", "one array", "a set", "detections", "tracker"])
def test_videos_and_tracks_of_every_kind_give_the_same(toy, model, kind):
    tracks, frames = toy.track_set, toy.frames
    expected = model.predict(frames, SENTENCES, toy.tracks)
    video, given, tracker = frames, tracks, None
    if kind == "one array":
        video = np.stack(frames)
    elif kind == "detections":
        given = as_detections(tracks, len(frames))
    elif kind == "tracker":
        given, tracker = None, GivenTracks(tracks)
    elif kind == "frames in memory":
        video = tuple(frames)
    found = model.predict(video, SENTENCES, given, tracker)
    for sentence in SENTENCES:
        np.testing.assert_allclose(found[sentence].score, expected[sentence].score, atol=1e-6)
        np.testing.assert_allclose(found[sentence].tracks.box, expected[sentence].tracks.box, atol=1e-9)


def test_detections_that_are_not_confirmed_are_left_out(toy, model):
    detections = as_detections(toy.track_set, 12)
    more = sv.Detections(np.array([[1.0, 1, 20, 20], [3, 3, 9, 9]]), tracker_id=np.array([-1, -1]))
    with_more = [sv.Detections.merge([more, d]) for d in detections]
    expected, found = (model.predict(toy.frames, "cars", d)["cars"] for d in (detections, with_more))
    np.testing.assert_allclose(found.score, expected.score, atol=1e-6)


def test_table_has_frame_seconds_box_and_probability(result):
    cars = result["cars"]
    table = cars.to_dataframe(rejected=True)
    assert list(table.columns) == [*"frame seconds identity x y width height probability accepted".split()]
    assert table.frame.tolist() == cars.tracks.frame.tolist()
    np.testing.assert_allclose(table.seconds, table.frame / 4)
    np.testing.assert_allclose(table.x + table.width, cars.tracks.box[:, 2])
    np.testing.assert_allclose(table.probability, cars.score)
    assert table.accepted.tolist() == cars.accepted.tolist()
    accepted = cars.to_dataframe()
    assert len(accepted) == cars.accepted.sum()
    both = result.to_dataframe()
    assert both.sentence.value_counts().to_dict() == {s: int(result[s].accepted.sum()) for s in SENTENCES if
                                                      result[s].accepted.any()}


def test_seconds_are_missing_where_no_frame_rate_is_known(toy, model):
    table = model.predict(toy.frames, "cars", toy.tracks, threshold=0)["cars"].to_dataframe()
    assert table.seconds.isna().all()
    assert len(table) == len(toy.track_set)


def test_files_per_sentence(toy, model, tmp_path):
    result = model.predict(toy.frames, SENTENCES, toy.tracks, threshold=0, frame_rate=8)
    assert {s: p.name for s, p in result.to_mot(tmp_path).items()} == {s: s.replace(" ", "-") + ".txt" for s in SENTENCES}
    result.to_csv(tmp_path)
    written = read_mot(tmp_path / "cars.txt", first_frame=1)
    np.testing.assert_allclose(written.box, toy.track_set.box, atol=1e-5)
    assert read_mot(result["cars"].to_mot(tmp_path / "own.txt", first_frame=0), first_frame=0).frame.max() == 11
    table = pd.read_csv(tmp_path / "cars-with-odd-plates.csv")
    pd.testing.assert_frame_equal(table, result["cars with odd plates"].to_dataframe(), atol=0.006)
    with pytest.raises(InputError, match="a file is where a folder is expected"):
        result.to_mot(tmp_path / "cars.txt")


def frames_of(path):
    with av.open(str(path)) as video:
        rate = float(video.streams.video[0].average_rate)
        return [f.to_ndarray(format="rgb24") for f in video.decode(video=0)], rate


def test_overlays_of_one_and_of_all_sentences(toy, model, tmp_path):
    result = model.predict(toy.frames, SENTENCES, toy.tracks, threshold=0, frame_rate=8)
    assert result.render(tmp_path / "all.mp4") == [tmp_path / "all.mp4"]
    paths = result.render(tmp_path / "each", frame_rate=5)
    assert [p.name for p in paths] == ["cars.mp4", "cars-with-odd-plates.mp4"]
    pictures, rate = frames_of(tmp_path / "all.mp4")
    assert (len(pictures), rate) == (12, 8)
    assert frames_of(paths[0])[1] == 5
    nothing = model.predict(toy.frames, SENTENCES, toy.tracks, threshold=1)
    nothing.render(tmp_path / "nothing.mp4")
    plain = frames_of(tmp_path / "nothing.mp4")[0]
    changed = (np.abs(pictures[5].astype(int) - plain[5]).max(-1) > 60).mean()
    assert changed > 0.005  # boxes and labels
    assert (np.abs(pictures[5][:30].astype(int) - plain[5][:30]).max(-1) > 60).mean() < 0.001  # the sentences above


def test_frame_rate_of_a_video_file_is_used(toy, model, tmp_path):
    model.predict(toy.frames, "cars", toy.tracks, frame_rate=25).render(tmp_path / "clip.mp4")
    height, width = frames_of(tmp_path / "clip.mp4")[0][0].shape[:2]
    tracks = TrackSet.build(range(12), [1] * 12, [[10, 10, 60, 60]] * 12)
    result = model.predict(tmp_path / "clip.mp4", "cars", tracks, frame_size=(height, width), threshold=0)
    assert result["cars"].to_dataframe().seconds.iloc[-1] == pytest.approx(11 / 25)


def test_threshold_vote_and_top_k(toy, model):
    tracks = toy.track_set
    plain = model.predict(toy.frames, "cars", tracks)["cars"]
    cut = float(np.median(plain.score))
    at = model.predict(toy.frames, "cars", tracks, threshold=cut)["cars"]
    assert at.accepted.tolist() == (at.score >= cut).tolist()
    voted = model.predict(toy.frames, "cars", tracks, threshold=cut, vote=True)["cars"]
    for rows in tracks.tracks().values():
        assert voted.accepted[rows].all() == (2 * at.accepted[rows].sum() > len(rows)) == voted.accepted[rows].any()
    best = model.predict(toy.frames, "cars", tracks, threshold=0, top_k=1)["cars"]
    assert set(best.chosen.identity.tolist()) == {best.closest(1)[0][0]}
    assert [identity for identity, _ in best.closest(5)] == sorted(
        tracks.tracks(), key=lambda i: -best.score[tracks.tracks()[i]].mean())


def test_run_folder_gives_the_chosen_checkpoint(toy, tmp_path):
    assert flexhook.load(toy.run).path.name == chosen_name(toy.run) != "last.ckpt"
    shutil.copytree(toy.run, tmp_path / "stopped")
    (tmp_path / "stopped/meta.json").unlink()
    assert flexhook.load(tmp_path / "stopped").path.name == "last.ckpt"
    assert "flexhook" in repr(flexhook.load(toy.run / "checkpoints/last.ckpt", torch.device("cpu")))


def test_stored_names_are_checked(toy, tmp_path, monkeypatch):
    content = torch.load(toy.run / "checkpoints/last.ckpt", weights_only=True)
    content["flexhook"]["config"]["model"]["text"]["_target_"] = "os.system"
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match=r"names os\.system"):
        flexhook.load(tmp_path / "foreign.ckpt")
    monkeypatch.setenv("FLEXHOOK_TRUST", "")
    with pytest.raises(InputError, match="FLEXHOOK_TRUST=toy_world"):
        flexhook.load(toy.run)


@pytest.mark.parametrize(("path", "options", "message"), [
    ("nowhere", {}, "nowhere: the checkpoint does not exist"),
    (".", {}, "there is no checkpoint"),
    ("text.ckpt", {}, "does not load"),
    (None, {"device": "tpu9"}, "the device is 'tpu9'"),
    (None, {"precision": "fp8"}, "float32 or bf16"),
    (None, {"smoothing": -1}, "smoothing is -1"),
])  # fmt: skip
def test_load_says_what_is_wrong(toy, tmp_path, path, options, message):
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    with pytest.raises(InputError, match=message):
        flexhook.load(toy.run if path is None else tmp_path / path, **options)


def bad_boxes(frames):
    return [sv.Detections(np.array([[5.0, 5, 5, 9]]), tracker_id=np.array([1])), *[sv.Detections.empty()] * (frames - 1)]


@pytest.mark.parametrize(("change", "message"), [
    ({"sentences": []}, r"sentences is \[\]"),
    ({"sentences": ["cars", " "]}, "none empty"),
    ({"sentences": ["cars", "cars "]}, "“cars” is given twice"),
    ({"tracks": None}, "the detector .* cannot be had"),
    ({"tracker": GivenTracks(TrackSet.empty())}, "tracks and a tracker"),
    ({"tracks": "nowhere.txt"}, "nowhere.txt"),
    ({"tracks": TrackSet.build([12], [1], [[1, 1, 5, 5]])}, "frames 12 to 12. Expected 0 to 11"),
    ({"tracks": TrackSet.build([0], [1], [[9, 1, np.nan, 5]])}, "in frame 0 has no area"),
    ({"tracks": TrackSet.build([0], [1], [[500, 1, 505, 5]])}, "outside of the 192x64 frame"),
    ({"tracks": [sv.Detections.empty()] * 3}, "3 detections are given for 12 frames"),
    ({"tracks": [sv.Detections(np.array([[1.0, 1, 5, 5]]))] * 12}, "frame 0 have no identities"),
    ({"tracks": bad_boxes(12)}, "a box of frame 0 is"),
    ({"video": []}, "the video has no frames"),
    ({"video": np.zeros((12, 64, 192, 3))}, "frame 0 is float64"),
    ({"video": [np.zeros((64, 192, 3), np.uint8), np.zeros((64, 190, 3), np.uint8)]}, "frame 1 is 64x190"),
    ({"video": "nowhere.mp4"}, "nowhere.mp4"),
    ({"threshold": 1.5}, "threshold is 1.5"),
    ({"vote": -2}, "vote is -2"),
    ({"top_k": 0}, "top_k is 0"),
    ({"frame_rate": 0}, "frame_rate is 0"),
])  # fmt: skip
def test_predict_says_what_is_wrong(toy, model, change, message):
    arguments = {"video": toy.frames, "sentences": ["cars"], "tracks": toy.track_set} | change
    with pytest.raises(InputError, match=message):
        model.predict(**arguments)


def test_video_without_tracks_gives_empty_results_and_a_warning(toy, model):
    with pytest.warns(UserWarning, match="has no tracks"):
        result = model.predict(toy.frames, "cars", TrackSet.empty())
    assert len(result["cars"].to_dataframe()) == 0
    with pytest.raises(KeyError, match="was not asked"):
        result["people"]


def test_unsupported_picture_is_named(toy, model, tmp_path):
    Image.new("RGB", (192, 64)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"no image")
    tracks = TrackSet.build([0, 1], [1, 1], [[1, 1, 30, 30]] * 2)
    with pytest.raises(InputError, match=r"1\.png"):
        model.predict(tmp_path, "cars", tracks)


def test_configuration_error_is_an_input_error():
    assert issubclass(ConfigError, InputError)
