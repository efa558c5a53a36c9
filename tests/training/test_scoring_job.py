"""Scores in a folder are of one making: what changes them is scored again, what does not is kept, nothing is mixed."""

import json
import os
import shutil

import layouts
import numpy as np
import pytest
from omegaconf import OmegaConf
from toy_world import ToyText, run_here, write_toy_world

from flexhook.configuration.resolvers import config_folder
from flexhook.datasets.dataset import Dataset
from flexhook.inference import prediction as scoring
from flexhook.inference.scoring_options import scoring_options
from flexhook.structures.method import PredictionReport
from flexhook.structures.result_files import read_expressions, read_results, scored_videos


@pytest.fixture(scope="module")
def checkpoints(toy, tmp_path_factory):
    """The last checkpoints of two runs with different seeds."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        toy.run(folder / str(seed), f"seed={seed}", "test=false", "optim.epochs=1")
    return [folder / str(seed) / "checkpoints/last.ckpt" for seed in (0, 1)]


@pytest.fixture
def score(toy, checkpoints, tmp_path):
    """``flexhook score`` of a copy of the toy world into tmp_path/out: what it said."""
    shutil.copytree(toy.root, tmp_path / "data")
    data = [o for o in toy.overrides if o.startswith("data.reader")]

    def command(*more, which=0, status=0, root="data"):
        done, said = run_here(["score", f"ckpt={checkpoints[which]}", "data=refer_kitti", f"data.root={tmp_path / root}",
                               *data, f"out={tmp_path}/out", *more], tmp_path)  # fmt: skip
        assert done == status, said
        return said

    return command


def windows(said):
    """Windows that were computed, by video."""
    lines = [line.split() for line in said.splitlines() if line.startswith("scored ")]
    return {words[1].rstrip(":"): int(words[2]) for words in lines}


def logits(folder, video="u"):
    return read_results(folder / "out/scores", video).logits


def test_a_changed_image_is_scored_again(score, tmp_path):
    assert windows(score()) == {"u": 9, "v": 5, "w": 4}
    before = logits(tmp_path)
    frames = tmp_path / "data/KITTI/training/image_02/u"
    shutil.copy(frames / "000003.png", frames / "000002.png")
    os.utime(frames / "000002.png", ns=(1, 1))
    assert windows(score()) == {"u": 9, "v": 0, "w": 0}
    assert not np.array_equal(logits(tmp_path), before)


def test_another_size_of_the_video_is_scored_again(score, tmp_path):
    score("videos=[u]")
    before = logits(tmp_path)
    assert windows(score("videos=[u]", "data.reader.sizes.default=[128,384]")) == {"u": 9}
    assert not np.array_equal(logits(tmp_path), before)


def test_moved_data_and_settings_that_change_no_score_are_not_scored_again(score, tmp_path):
    score()
    (tmp_path / "data").rename(tmp_path / "moved")
    assert windows(score("scoring.frame_batch=3", "scoring.num_workers=1", root="moved")) == {"u": 0, "v": 0, "w": 0}


def test_videos_scored_one_by_one_make_one_readable_folder(score, tmp_path):
    score("videos=[w]")
    score("videos=[u]")
    scores = tmp_path / "out/scores"
    assert set(read_expressions(scores)) == {"u", "w"}
    read_results(scores, "w")
    points = json.loads((scores / "reference_points.json").read_text())
    assert set(points) == {e.sentence for named in read_expressions(scores).values() for e in named}
    score("videos=[v]")
    status, said = run_here(["evaluate", f"run={tmp_path}/out"], tmp_path)
    assert status == 0, said
    (scores / "w.npz").unlink()
    score("videos=[u]")
    assert set(read_expressions(scores)) == {"u", "v"}  # what has no scores any more is not named


def test_points_of_other_videos_sentences_stay(score, tmp_path):
    write_toy_world(tmp_path / "data", {"w": {8: range(4)}}, {"lorries": lambda f, i: True})
    for path in (tmp_path / "data/expression/w").glob("cars*"):
        path.unlink()
    score("videos=[w]")
    path = tmp_path / "out/scores/reference_points.json"
    before = json.loads(path.read_text())
    assert list(before) == ["lorries"] and len(before["lorries"]) == 2
    score("videos=[u]")
    after = json.loads(path.read_text())
    assert after["lorries"] == before["lorries"] and len(after) == 5


def test_a_folder_of_two_models_is_not_evaluated(score, tmp_path):
    score()
    image = tmp_path / "data/KITTI/training/image_02/v/000003.png"
    whole = image.read_bytes()
    os.truncate(image, 20)
    said = score(which=1, status=2)
    assert "000003.png" in said
    image.write_bytes(whole)
    status, said = run_here(["evaluate", f"run={tmp_path}/out"], tmp_path)
    assert status == 2
    assert "made by 2 models or settings: u.npz; v.npz, w.npz." in said and "flexhook score" in said
    assert windows(score(which=1)) == {"u": 0, "v": 5, "w": 4}
    status, said = run_here(["evaluate", f"run={tmp_path}/out"], tmp_path)
    assert status == 0, said


def counted(monkeypatch):
    """The sentences that pass through the text encoder from now on."""
    seen = []
    forward = ToyText.forward

    def noted(self, ids, mask):
        seen.append(len(ids))
        return forward(self, ids, mask)

    monkeypatch.setattr(ToyText, "forward", noted)
    return seen


def test_a_sentence_is_encoded_once_per_video(score, monkeypatch, tmp_path):
    """Also for the reference points that are drawn later; a video that is done is not scored, but its points are."""
    seen = counted(monkeypatch)
    score()
    assert sum(seen) == 3 * 4
    seen.clear()
    score()
    assert sum(seen) == 4


def test_calibration_encodes_each_training_sentence_once_more(score, monkeypatch):
    seen = counted(monkeypatch)
    score("scoring=calibrated", "videos=[u]")
    assert sum(seen) == 4 + 4  # of the training videos, of this one


def test_two_jobs_in_one_folder_are_told_apart(score, tmp_path):
    from flexhook.inference.pair_writer import PairWriter
    from flexhook.structures import TrackSet

    with PairWriter(tmp_path / "out/scores", "v", TrackSet.empty(), ()):
        said = score(status=2)
        assert "another process is writing the scores of video v" in said and "choose another output folder" in said
    assert windows(score()) == {"u": 0, "v": 5, "w": 4}


@pytest.fixture
def predict(toy, checkpoints, tmp_path):
    """``flexhook predict`` of video u into tmp_path/out: the logits."""
    shutil.copytree(toy.root, tmp_path / "data")

    def command(*more, which=0, video="u"):
        status, said = run_here([
            "predict", f"video={tmp_path}/data/KITTI/training/image_02/{video}",
            f"tracks={toy.root}/tracks/{video}/car/predict.txt", "sentences=[cars]", f"ckpt={checkpoints[which]}",
            "frame_size=[64,192]", "overlay=false", f"out={tmp_path}/out", *more,
        ], tmp_path)  # fmt: skip
        assert status == 0, said
        return logits(tmp_path, video)

    return command


@pytest.mark.parametrize("more", [["scoring.exit_scale=1"], ["scoring.precision=bf16"], ["frame_size=[128,384]"]])
def test_predict_scores_again_what_a_setting_changes(predict, more):
    before = predict()
    after = predict(*more)
    assert not np.array_equal(after, before)
    np.testing.assert_array_equal(predict(), before)


def test_predict_scores_again_other_frames_and_weights(predict, tmp_path):
    before = predict()
    other = predict(which=1)
    assert not np.array_equal(other, before)
    frames = tmp_path / "data/KITTI/training/image_02/u"
    shutil.copy(frames / "000004.png", frames / "000002.png")
    os.utime(frames / "000002.png", ns=(1, 1))
    assert not np.array_equal(predict(), before)
    assert scored_videos(tmp_path / "out/scores") == ["u"]


def test_predict_keeps_what_is_done(predict, monkeypatch, checkpoints):
    from flexhook.methods.two_stage.engine import ScoringEngine

    before, reports, work = predict(), [], ScoringEngine.score

    def noted(*arguments):
        reports.append(work(*arguments))
        return reports[-1]

    monkeypatch.setattr(ScoringEngine, "score", noted)
    os.utime(checkpoints[0])  # it was read, or copied
    np.testing.assert_array_equal(predict(), before)
    assert [report.windows for report in reports] == [0]


def test_options_as_trained_are_all_options():
    """A new option of scoring must say whether it changes scores."""
    groups = [OmegaConf.load(config_folder() / f"scoring/{name}.yaml") for name in ("default", "as_trained")]
    assert set(groups[0]) == set(groups[1])
    given, trained = groups[1], OmegaConf.create({"scoring": {"smoothing": 3, "calibration": None, "max_pairs": 7}})
    options = scoring_options(given, trained)  # of a version that had no precision and no exit_scale
    speed = ("frame_batch", "max_pairs", "memory_budget", "num_workers", "compile")
    assert options == {"smoothing": 3, "calibration": None} | {key: groups[0][key] for key in speed}


def test_no_process_reads_the_videos_of_another(toy, tmp_path, monkeypatch):
    """expressions.json names them all nevertheless."""
    read = []

    class Noting(Dataset):
        def read(self, name, *args):
            read.append(name)
            return super().read(name, *args)

    class Nothing:
        def key(self):
            return ""

        def write_extras(self, folder, expressions, kept):
            pass

    monkeypatch.setattr(scoring, "predict_block", lambda *a: PredictionReport())
    reader = layouts.refer_kitti(toy.root, {"test": ["u", "v", "w"]}, {"default": [64, 192]}, make=Noting)
    for rank, own in ((1, ["v"]), (0, ["u", "w"])):
        read.clear()
        reports = scoring.score_videos(Nothing(), reader, ["u", "v", "w"], tmp_path, (rank, 2))
        assert (read, [report.video for report in reports]) == (own, own)
    named = read_expressions(tmp_path)
    assert list(named) == ["u", "v", "w"]
    assert {name: list(e) for name, e in named.items()} == {n: list(reader.read(n).expressions) for n in "uvw"}


def test_a_run_builds_one_reader_and_reads_no_video_twice(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
    read, init = [], []
    plain_read, plain_init = Dataset.read, Dataset.__init__

    def noted_read(self, name, *args):
        read.append(name)
        return plain_read(self, name, *args)

    def noted_init(self, *args, **more):
        init.append(self)
        plain_init(self, *args, **more)

    monkeypatch.setattr(Dataset, "read", noted_read)
    monkeypatch.setattr(Dataset, "__init__", noted_init)
    toy.run(tmp_path / "run", "optim.epochs=1", "scoring=calibrated")
    assert sorted(read) == ["a", "b", "c", "u", "v", "w"]
    assert len(init) == 1
