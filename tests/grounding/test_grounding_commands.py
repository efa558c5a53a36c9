"""method=grounding through the commands: no checkpoint, known results on a world of colours, one message for each mistake."""

import json

import pandas as pd
import pytest
import yaml
from toy_world import run_here

from flexhook.configuration.trust import check_parts
from flexhook.media.video_files import open_frames
from flexhook.structures.result_files import read_results

COLOURS = ["method.detector._target_=sentence_detectors.ColourDetector"]


def data(world):
    names = {"train": "[a,b]", "val": "[c]", "test": "[d]"}
    return ["data=refer_kitti", f"data.root={world}/data", *(f"data.reader.splits.{s}={v}" for s, v in names.items()),
            "data.reader.sizes.default=[64,192]"]  # fmt: skip


@pytest.fixture(scope="module")
def scored(world):
    argv = ["score", "method=grounding", *COLOURS, *data(world), f"out={world}/scored", "accelerator=cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(world / "cache"))
        status, said = run_here(argv, world)
        assert status == 0 and "without a checkpoint" in said and "3 expressions, 10 frames" in said, said
        status, said = run_here(argv, world)
    assert status == 0 and "scored d: 0 expressions, 0 frames" in said, said
    return world / "scored"


def test_scores_evaluates_renders_and_reports_without_a_checkpoint(world, scored):
    results = read_results(scored / "scores", "d")
    assert [(e.slug, len(item.tracks)) for e, item in zip(results.expressions, results, strict=True)] == [
        ("blue-cars", 10), ("cars", 20), ("red-cars", 10)] and not results.keeps_rejected
    status, said = run_here(["evaluate", f"run={scored}"], world)
    assert status == 0 and "oracle" not in said, said
    metrics = json.loads((scored / "metrics.json").read_text())
    assert metrics["test/HOTA"] == pytest.approx(100) and metrics["test/expressions"] == 3
    status, said = run_here(["render", scored, "--expression", "red cars", "--frames", "2"], world)
    assert status == 0 and list(scored.rglob("red-cars.mp4")), said
    status, said = run_here(["report", scored, "--out", world / "report"], world)
    assert status == 0 and "100.0" in said, said


def test_the_folder_says_what_made_the_scores(scored):
    config = yaml.safe_load((scored / "config.yaml").read_text())
    assert config["method"]["name"] == "grounding" and config["associator"]["_target_"].endswith("OCSort")
    assert config["method"]["detector"]["model"] == config["method"]["model"] == "IDEA-Research/grounding-dino-tiny"
    config["method"]["detector"]["_target_"] = "flexhook.methods.grounding.transformers_model.GroundedDetector"
    check_parts(config, ["method", "associator", "data.reader"], "config.yaml")
    assert json.loads((scored / "meta.json").read_text())["data"]["name"] == "refer_kitti"


def test_predicts_a_video_and_sentences_alone(world):
    folder = world / "data/KITTI/training/image_02/d"
    argv = ["predict", "method=grounding", *COLOURS, f"video={folder}", "sentences=[red cars, blue cars]", f"out={world}/out",
            "associator=bytetrack", "accelerator=cpu"]  # fmt: skip
    status, said = run_here(argv, world)
    assert status == 0 and "scoring 10 frames against 2 sentences" in said, said
    assert "“red cars”: 1 tracks, 10 boxes" in said and "“blue cars”: 1 tracks, 10 boxes" in said
    table = pd.read_csv(world / "out/red-cars.csv")
    assert table.x.tolist() == [8.0 + 6 * k for k in range(10)] and set(table.probability) == {0.5}
    assert len(open_frames(world / "out/red-cars.mp4")) == 10


def test_predicts_with_a_pretrained_model_from_a_folder(world, folders):
    """Random weights find something anywhere; what counts is the chain."""
    argv = ["predict", "method=grounding", f"method.model={folders['MMGroundingDino']}", "method.detector.threshold=0.01",
            f"video={world}/data/KITTI/training/image_02/d", "sentences=[red cars, a person]", f"out={world}/mm",
            "overlay=false", "accelerator=cpu"]  # fmt: skip
    status, said = run_here(argv, world)
    assert status == 0, said
    for slug in ("red-cars", "a-person"):
        table = pd.read_csv(world / f"mm/{slug}.csv")
        assert len(table) > 0 and table.probability.between(0.01, 1).all()


MISTAKES = {
    "neither": ([], "ckpt is missing. Expected ckpt=PATH"),
    "both": (["method=grounding", "ckpt=some.ckpt"], "ckpt and method are both given"),
    "a trained one": (["method=flexhook"], "the method flexhook needs a checkpoint"),
    "one of other groups": (["method=transrmot"], "the method transrmot needs a checkpoint"),
    "an unknown one": (["method=groundin"], "there is no method/groundin"),
    "a word": (["method=grounding", *COLOURS, "sentences=[zebra]"], "no such animal"),
    "no sentence": (["method=grounding", *COLOURS, "sentences=['']"], "none empty"),
    "no folder": (["method=grounding", "method.model=/nowhere/at/all"], "/nowhere/at/all: the folder does not exist"),
    "threshold": (["method=grounding", "method.detector.threshold=3"], "threshold is 3. Expected a number, 0 to 1"),
    "repair": (["method=grounding", *COLOURS, "method.recover=-1"], "method.recover is -1"),
}


@pytest.mark.parametrize("changes, message", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_predict_is_one_message(world, tmp_path, changes, message):
    given = [] if any(c.startswith("sentences") for c in changes) else ["sentences=[cars]"]
    status, said = run_here(["predict", f"video={world}/data/KITTI/training/image_02/d", *given, *changes, "out=out"], tmp_path)
    assert status == 2 and message in said and "Traceback" not in said, said
    assert not list(tmp_path.glob("out/*.txt"))


def test_a_mistake_of_score_is_one_message(tmp_path):
    mistakes = {"method=grounding": "data is missing", "method=ikun": "the method ikun needs a checkpoint"}
    for changes, message in mistakes.items():
        status, said = run_here(["score", changes], tmp_path)
        assert status == 2 and message in said, said


def test_train_says_that_there_is_nothing_to_train(world, tmp_path):
    status, said = run_here(["train", "method=grounding", *data(world), f"hydra.run.dir={tmp_path}/run"], tmp_path)
    assert status == 2 and "the method grounding needs no training" in said, said
    assert "flexhook score method=grounding data=refer_kitti" in said and not (tmp_path / "run/config.yaml").exists()
