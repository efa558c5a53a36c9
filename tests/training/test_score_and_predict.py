"""score, evaluate, predict and render on what a run left: the same model, the same numbers."""

import json
import re

import av
import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from toy_world import ToyText, ToyVisual, run_here

from flexhook.commands.predict import open_video
from flexhook.configuration.resolvers import config_folder
from flexhook.datasets.mot import read_mot
from flexhook.inference.smoothing import smooth_track
from flexhook.media.video_files import VideoWriter
from flexhook.structures.result_files import read_expressions, read_results


@pytest.fixture(scope="module")
def best(tiny):
    """The checkpoint that the run tested."""
    return next(line.partition(": ")[2] for line in tiny.said.splitlines() if line.startswith("best checkpoint: "))


@pytest.fixture(scope="module")
def predicted(tiny, best, tmp_path_factory):
    """`flexhook predict` on the test video with the tracker's cars and three of its sentences."""
    out = tmp_path_factory.mktemp("predicted")
    sentences = [e.sentence for e in read_expressions(tiny.run / "scores")["0003"]][:3]
    data = tiny.folder / "data/synthetic_tiny"
    status, said = run_here([
        "predict", f"video={data}/KITTI/training/image_02/0003", f"tracks={data}/tracks/simulated/0003/car/predict.txt",
        f"sentences={json.dumps(sentences)}", f"ckpt={best}", f"out={out}", "frame_size=[375,1242]",
    ], tiny.folder)  # fmt: skip
    assert status == 0, said
    return out, sentences, said


def test_score_gives_the_runs_scores(tiny, best, tmp_path):
    status, said = run_here(["score", f"ckpt={best}", f"out={tmp_path}/scored"], tiny.folder)
    assert status == 0, said
    assert (tmp_path / "scored/scores/0003.npz").read_bytes() == (tiny.run / "scores/0003.npz").read_bytes()
    assert read_expressions(tmp_path / "scored/scores") == read_expressions(tiny.run / "scores")
    assert f"the scores lie in {tmp_path}/scored/scores" in said
    status, said = run_here(["evaluate", f"run={tmp_path}/scored"], tiny.folder)  # the command that score names
    assert status == 0, said
    metrics = json.loads((tmp_path / "scored/metrics.json").read_text())
    assert metrics == {k: v for k, v in tiny.metrics.items() if not k.startswith("val/")}


def test_options_of_scoring_are_those_of_the_training_unless_given(tiny, best, tmp_path):
    """The run averaged each score with one on either side; without that, its scores are what those are the means of."""
    status, said = run_here(["score", f"ckpt={best}", f"out={tmp_path}", "scoring.smoothing=0"], tiny.folder)
    assert status == 0, said
    kept = OmegaConf.load(tmp_path / "config.yaml").scoring
    assert (kept.smoothing, kept.precision, kept.calibration) == (0, "float32", None)
    plain, averaged = read_results(tmp_path / "scores", "0003"), read_results(tiny.run / "scores", "0003")
    assert np.abs(plain.logits - averaged.logits).max() > 0.01
    for rows in averaged.tracks.tracks().values():
        np.testing.assert_allclose(smooth_track(plain.logits[rows], 1), averaged.logits[rows], atol=1e-6)


def test_model_decides_something(tiny):
    accepted = read_results(tiny.run / "scores", "0003").accepted
    assert 0.02 < accepted.mean() < 0.98


def test_evaluate_gives_the_runs_metrics_again(tiny):
    before = (tiny.run / "metrics.json").read_text(), (tiny.run / "expressions.csv").read_text()
    status, said = run_here(["evaluate", "run=outputs/latest"], tiny.folder)
    assert status == 0, said
    assert json.loads((tiny.run / "metrics.json").read_text()) == json.loads(before[0])
    assert (tiny.run / "expressions.csv").read_text() == before[1]


def test_predict_writes_a_track_file_and_an_overlay_per_sentence(tiny, predicted):
    out, sentences, said = predicted
    slugs = [s.lower().replace(" ", "-") for s in sentences]
    files = {f"{s}.{kind}" for s in slugs for kind in ("txt", "csv", "mp4")}
    assert {p.name for p in out.iterdir()} == {"scores", "video.json", ".video", *files}
    for name in slugs:
        with av.open(str(out / f"{name}.mp4")) as video:
            assert sum(1 for _ in video.decode(video=0)) == 16
    assert said.strip().splitlines()[-1] == f"the results lie in {out}"
    assert all(sentence in said for sentence in sentences)


def test_predict_agrees_with_score(tiny, predicted):
    """The same windows of the same cars: the pedestrians' file has no part in a car's score."""
    out = predicted[0]
    there, here = read_results(tiny.run / "scores", "0003"), read_results(out / "scores", "0003")
    cars = there.tracks.category == there.tracks.categories.index("car")
    assert cars.sum() == len(here.tracks) > 20
    np.testing.assert_array_equal(there.tracks.box[cars], here.tracks.box)
    np.testing.assert_allclose(there.logits[cars][:, :3], here.logits, atol=2e-5)
    for column, expression in enumerate(here.expressions):
        chosen = read_mot(out / f"{expression.slug}.txt", first_frame=1)
        accepted = here.tracks.select(here.accepted[:, column])
        assert chosen.frame.tolist() == accepted.frame.tolist()
        assert chosen.identity.tolist() == accepted.identity.tolist()
        np.testing.assert_allclose(chosen.box, accepted.box, atol=0.01)


def test_table_of_predict_is_that_of_the_track_file(predicted):
    out, _, said = predicted
    for expression in read_results(out / "scores", "0003").expressions:
        table, chosen = pd.read_csv(out / f"{expression.slug}.csv"), read_mot(out / f"{expression.slug}.txt", first_frame=1)
        assert list(table.columns) == ["frame", "seconds", "identity", "x", "y", "width", "height", "probability"]
        assert table.frame.tolist() == chosen.frame.tolist()
        assert table.identity.tolist() == chosen.identity.tolist()
        np.testing.assert_allclose(table.x, chosen.box[:, 0], atol=0.006)
        assert table.seconds.isna().all()  # a folder of images has no frame rate
    assert re.search(r"scored 16 frames in [\d.]+ s: [\d.]+ frames per second", said)


def predict_again(tiny, best, out, *options):
    """`flexhook predict` for one sentence, without pictures."""
    data = tiny.folder / "data/synthetic_tiny"
    status, said = run_here([
        "predict", f"video={data}/KITTI/training/image_02/0003", f"tracks={data}/tracks/simulated/0003/car/predict.txt",
        "sentences=[cars]", f"ckpt={best}", f"out={out}", "frame_size=[375,1242]", "overlay=false", *options,
    ], tiny.folder)  # fmt: skip
    assert status == 0, said
    return said, read_mot(out / "cars.txt", first_frame=1), read_results(out / "scores", "0003")[0]


def test_threshold_vote_and_top_k_of_predict(tiny, best, tmp_path):
    said, nothing, result = predict_again(tiny, best, tmp_path, "threshold=1")
    assert len(nothing) == 0
    rows = result.tracks.tracks()
    means = {identity: result.score[r].mean() for identity, r in rows.items()}
    first = max(means, key=means.get)
    assert f"nothing is accepted; closest by mean probability: track {first} ({means[first]:.2f})" in said
    said, one, _ = predict_again(tiny, best, tmp_path, "threshold=0", "top_k=1", "frame_rate=4")
    assert "frames per second" not in said  # the scores were there
    assert set(one.identity.tolist()) == {first}
    assert len(one) == len(rows[first])
    np.testing.assert_allclose(pd.read_csv(tmp_path / "cars.csv").seconds, one.frame / 4)
    cut = float(np.median(result.score))
    _, voted, _ = predict_again(tiny, best, tmp_path, f"threshold={cut}", "vote=true")
    wanted = {identity for identity, r in rows.items() if 2 * (result.score[r] >= cut).sum() > len(r)}
    assert set(voted.identity.tolist()) == wanted
    assert len(voted) == sum(len(rows[identity]) for identity in wanted)


def test_overlay_of_a_video_file_has_its_frame_rate(tiny, best, predicted, tmp_path):
    out, sentences, _ = predicted
    clip = out / f"{sentences[0].lower().replace(' ', '-')}.mp4"
    (tmp_path / "tracks.txt").write_text("".join(f"{f},1,20,40,90,60,1,-1,-1,-1\n" for f in range(1, 17)))
    with VideoWriter(tmp_path / "clip.mp4", frame_rate=24) as video, av.open(str(clip)) as source:
        for frame in source.decode(video=0):
            video.write(frame.to_ndarray(format="rgb24"))
    status, said = run_here(["predict", f"video={tmp_path}/clip.mp4", f"tracks={tmp_path}/tracks.txt", "sentences=[cars]",
                             f"ckpt={best}", f"out={tmp_path}", "threshold=0"], tmp_path)
    assert status == 0, said
    with av.open(str(tmp_path / "cars.mp4")) as video:
        assert float(video.streams.video[0].average_rate) == 24
    assert pd.read_csv(tmp_path / "cars.csv").seconds.iloc[-1] == pytest.approx(15 / 24, abs=0.001)


def test_predict_asks_for_no_training_data(tiny, predicted, best, tmp_path):
    """A calibration would read it; predict leaves it out, says so, and gives what it gives without."""
    checkpoint = torch.load(best, weights_only=True)
    calibration = OmegaConf.load(config_folder() / "scoring/calibrated.yaml").calibration
    checkpoint["flexhook"]["config"]["scoring"]["calibration"] = OmegaConf.to_container(calibration)
    torch.save(checkpoint, tmp_path / "calibrated.ckpt")
    data = tiny.folder / "data/synthetic_tiny"
    status, said = run_here([
        "predict", f"video={data}/KITTI/training/image_02/0003", f"tracks={data}/tracks/simulated/0003/car/predict.txt",
        f"sentences={json.dumps(predicted[1])}", f"ckpt={tmp_path}/calibrated.ckpt", "frame_size=[375,1242]", "overlay=false",
    ], tmp_path)  # fmt: skip
    assert status == 0, said
    assert "without the calibration" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calibrated.ckpt", "outputs"]
    folders = (predicted[0], tmp_path / "outputs/predict/0003")
    there, here = (read_results(folder / "scores", "0003").logits for folder in folders)
    np.testing.assert_array_equal(there, here)


def test_predict_shortens_a_long_sentence_with_one_warning(tiny, best, tmp_path):
    data = tiny.folder / "data/synthetic_tiny"
    long = "the " + "very " * 40 + "red car"
    with pytest.warns(UserWarning, match="the sentence has 45 tokens and is cut to 25") as warned:
        status, said = run_here([
            "predict", f"video={data}/KITTI/training/image_02/0003", f"tracks={data}/tracks/simulated/0003/car/predict.txt",
            f"sentences=[{long}]", f"ckpt={best}", f"out={tmp_path}", "frame_size=[375,1242]", "overlay=false",
        ], tiny.folder)  # fmt: skip
    assert status == 0, said
    assert sum("tokens" in str(w.message) for w in warned) == 1
    assert len(list(tmp_path.glob("*.txt"))) == 1


def test_no_two_sentences_of_predict_share_a_file(tmp_path):
    Image.new("RGB", (32, 16)).save(tmp_path / "000000.png")
    sentences = ["red cars", "red-cars", "red-cars-2", "Red cars"]
    cfg = OmegaConf.create({"video": str(tmp_path), "frame_size": None, "sentences": sentences})
    named = {e.sentence: e.slug for e in open_video(cfg).expressions}
    assert named == {"red cars": "red-cars", "red-cars": "red-cars-3", "red-cars-2": "red-cars-2", "Red cars": "Red-cars-4"}


def test_render_makes_pictures_of_the_run(tiny, tmp_path):
    slug = read_expressions(tiny.run / "scores")["0003"][0].slug
    status, said = run_here(["render", tiny.run, "--video", "0003", "--expression", slug, "--out", tmp_path], tiny.folder)
    assert status == 0, said
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} >= {".mp4", ".png"}


def test_fine_tuned_encoders_travel_in_the_checkpoint(toy, tmp_path, monkeypatch):
    """So that their pretrained weights, which may be out of reach by then, are not asked for again; a frozen one's are."""
    status, said = toy.train(tmp_path / "run", "freeze=[visual]", "++visual.weights=some.file", "++text.weights=some.file")
    assert status == 0, said
    content = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert any(k.startswith("model.text.") for k in content["state_dict"])
    assert not any(k.startswith("model.visual.") for k in content["state_dict"])
    chosen = next(line.partition(": ")[2] for line in said.splitlines() if line.startswith("best checkpoint"))
    asked = {}

    def ask(kind):
        build = kind.__init__

        def noted(self, *args, pretrained, weights, **more):
            asked[kind.__name__] = pretrained, weights
            build(self, *args, **more)

        monkeypatch.setattr(kind, "__init__", noted)

    ask(ToyVisual)
    ask(ToyText)
    status, said = run_here(["score", f"ckpt={chosen}", f"out={tmp_path}/again"], tmp_path)
    assert status == 0, said
    assert asked == {"ToyVisual": (True, "some.file"), "ToyText": (False, None)}
    trained, scored = (OmegaConf.load(tmp_path / f / "config.yaml") for f in ("run", "again"))
    assert scored.text == trained.text  # what the model was made of stays known
    for name in "uvw":
        one, other = (read_results(tmp_path / f / "scores", name).logits for f in ("run", "again"))
        np.testing.assert_array_equal(one, other)
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test/HOTA"] > 0
