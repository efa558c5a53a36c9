"""What is wrong with data, tracks, sentences or checkpoints ends in one message with file, line and what to do."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from toy_world import run_here

IMAGE = "KITTI/training/image_02/a/000003.png"
LABELS = "KITTI/labels_with_ids/image_02/a/000003.txt"
SENTENCE = "expression/a/cars-with-odd-plates.json"
TRACKS = "tracks/u/car/predict.txt"


def assert_one_message(status, said, command, *words):
    assert status == 2, said
    message = said[said.index(f"flexhook {command}: "):]
    assert len(message.strip().splitlines()) == 1, said
    for word in words:
        assert str(word) in message, message
    assert "Traceback" not in said
    assert "Error executing" not in said


@pytest.fixture
def world(toy, tmp_path):
    """A copy of the toy world, to be damaged."""
    return shutil.copytree(toy.root, tmp_path / "world")


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def replace_line(path, number, line):
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n")


def refer_to_nobody(path):
    content = json.loads(path.read_text())
    content["label"]["3"] = [1, 77]
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(("path", "damage", "words"), [
    (".", remove, ["does not exist", "data.root"]),
    ("KITTI/training/image_02/a", remove, ["image_02/a"]),
    ("KITTI/labels_with_ids/image_02/a", remove, ["labels_with_ids/image_02/a"]),
    ("expression/a", remove, ["expression/a"]),
    (LABELS, lambda p: replace_line(p, 1, "1 1 0.1 0.1 nan 0.1"), [f"{LABELS}:1: ", "nan"]),
    (LABELS, lambda p: replace_line(p, 2, "1 2 0.1 0.1 -0.2 0.1"), [f"{LABELS}:2: ", "-0.2"]),
    (LABELS, lambda p: replace_line(p, 2, "1 2 0.1"), [f"{LABELS}:2: ", "6"]),
    (SENTENCE, refer_to_nobody, [SENTENCE, "77"]),
    (SENTENCE, lambda p: p.write_text(p.read_text()[:40]), [SENTENCE, "JSON"]),
    (IMAGE, lambda p: p.write_bytes(p.read_bytes()[:60]), [IMAGE]),
    (IMAGE, lambda p: Image.new("RGB", (50, 50)).save(p), [IMAGE, "50"]),
    (TRACKS, remove, [TRACKS]),
    (TRACKS, lambda p: replace_line(p, 2, "2,1,10,10,nan,20,1,-1,-1,-1"), [f"{TRACKS}:2: ", "NaN"]),
    (TRACKS, lambda p: replace_line(p, 3, "3;1;10;10;20;20"), [f"{TRACKS}:3: "]),
    (TRACKS, lambda p: replace_line(p, 1, "900,1,10,10,20,20,1,-1,-1,-1"), [TRACKS, "900"]),
])  # fmt: skip
def test_damaged_data_ends_training_with_one_message(toy, world, tmp_path, path, damage, words):
    damage(world / path)
    status, said = toy.train(tmp_path / "run", f"data.root={world}", "optim.epochs=1")
    assert_one_message(status, said, "train", *words)
    assert not (tmp_path / "run/metrics.json").exists()
    assert not (tmp_path / "outputs/latest").exists()


@pytest.mark.parametrize("damage", [
    lambda p: p.write_bytes(b"no image"),
    lambda p: Image.new("RGB", (50, 50)).save(p),
])
def test_loading_processes_hand_their_findings_over(toy, world, tmp_path, damage):
    damage(world / IMAGE)
    status, said = toy.train(tmp_path / "run", f"data.root={world}", "optim.epochs=1", "sampling.num_workers=2")
    assert_one_message(status, said, "train", IMAGE)


def test_split_without_expressions_is_one_message(toy, world, tmp_path):
    for name in "abc":
        for path in (world / "expression" / name).iterdir():
            path.unlink()
    status, said = toy.train(tmp_path / "run", f"data.root={world}")
    assert_one_message(status, said, "train", "expression")


def test_split_without_videos_is_one_message(toy, tmp_path):
    status, said = toy.train(tmp_path / "run", "data.reader.splits.train=[]")
    assert_one_message(status, said, "train", "the split 'train' has no videos", "data.reader.splits.train")


def test_tracker_without_boxes_for_a_video_is_scored_as_nothing_found(toy, world, tmp_path):
    """Legal: the tracker saw nothing."""
    (world / TRACKS).write_text("")
    metrics = toy.run(tmp_path / "run", f"data.root={world}", "optim.epochs=1")
    assert metrics["oracle/HOTA"] < 90


@pytest.fixture(scope="module")
def model(toy, tmp_path_factory):
    """A checkpoint for score and predict."""
    folder = tmp_path_factory.mktemp("model") / "run"
    toy.run(folder, "optim.epochs=1", "test=false")
    return folder / "checkpoints/last.ckpt"


def predict_argv(toy, model, out, **changes):
    given = {
        "video": toy.root / "KITTI/training/image_02/u", "tracks": toy.root / TRACKS, "sentences": "[red cars]", "ckpt": model,
        "out": out, "frame_size": "[64,192]", "overlay": "false", **changes,
    }  # fmt: skip
    return ["predict", *(f"{k}={v}" for k, v in given.items())]


def test_predict_needs_no_truth_and_no_expressions(toy, model, tmp_path):
    status, said = run_here(predict_argv(toy, model, tmp_path), tmp_path)
    assert status == 0, said
    assert (tmp_path / "red-cars.txt").is_file()


@pytest.mark.parametrize(("changes", "words"), [
    ({"video": "nowhere"}, ["nowhere"]),
    ({"tracks": "nowhere.txt"}, ["nowhere.txt"]),
    ({"ckpt": "nowhere.ckpt"}, ["nowhere.ckpt: the checkpoint does not exist"]),
    ({"sentences": "[]"}, ["sentences is []", "a list of sentences"]),
    ({"sentences": "['  ']"}, ["none empty"]),
    ({"tracks": ""}, ["tracks is empty", "tracks=PATH"]),
    ({"first_frame": "7"}, [TRACKS, "first_frame"]),
    ({"first_frame": "one"}, ["first_frame is 'one'"]),
    ({"frame_size": "[64]"}, ["frame_size is [64]"]),
    ({"frame_size": "[64,64]"}, ["000000.png"]),  # the images have another shape
    ({"threshold": "1.2"}, ["threshold is 1.2", "a probability"]),
    ({"vote": "0"}, ["vote is 0", "true, false or a number of boxes"]),
    ({"top_k": "0"}, ["top_k is 0"]),
    ({"frame_rate": "0"}, ["frame_rate is 0"]),
    ({"scoring.precision": "float8"}, ["float8", "float32 or bf16"]),
    ({"scoring.max_pairs": "many"}, ["scoring.max_pairs is 'many'"]),
])
def test_predict_says_what_is_wrong(toy, model, tmp_path, changes, words):
    status, said = run_here(predict_argv(toy, model, tmp_path / "out", **changes), tmp_path)
    assert_one_message(status, said, "predict", *words)
    assert not list(tmp_path.glob("out/*.txt"))


@pytest.mark.parametrize("line", ["1,1,10,10,20", "1,1,10,10,nan,20,1", "1,1,10,10,20,-5,1", "x,1,10,10,20,20,1"])
def test_predict_names_the_line_of_a_malformed_track_file(toy, model, tmp_path, line):
    (tmp_path / "tracks.txt").write_text(f"1,1,10,10,20,20,1,-1,-1,-1\n{line}\n")
    status, said = run_here(predict_argv(toy, model, tmp_path / "out", tracks=tmp_path / "tracks.txt"), tmp_path)
    assert_one_message(status, said, "predict", "tracks.txt:2: ")


def test_predict_on_truncated_images_leaves_no_result(toy, model, world, tmp_path):
    frames = world / "KITTI/training/image_02/u"
    (frames / "000005.png").write_bytes((frames / "000005.png").read_bytes()[:60])
    status, said = run_here(predict_argv(toy, model, tmp_path / "out", video=frames), tmp_path)
    assert_one_message(status, said, "predict", "000005.png")
    assert not list(tmp_path.glob("out/*.txt"))
    assert not list(tmp_path.glob("out/scores/*.npz"))


@pytest.mark.parametrize(("changes", "words"), [
    (["videos=[z]"], ["the split test has no video z", "u, v, w"]),
    (["split=nonsense"], ["nonsense"]),
    (["accelerator=abacus"], ["accelerator is 'abacus'", "auto or cpu"]),
])
def test_score_says_what_is_wrong(model, tmp_path, changes, words):
    status, said = run_here(["score", f"ckpt={model}", f"out={tmp_path}/out", *changes], tmp_path)
    assert_one_message(status, said, "score", *words)


def test_checkpoint_of_another_version_is_named(model, tmp_path):
    """A setting of the model that this version does not know."""
    checkpoint = torch.load(model, weights_only=True)
    checkpoint["flexhook"]["config"]["model"]["twist"] = 1.0
    torch.save(checkpoint, tmp_path / "old.ckpt")
    status, said = run_here(["score", f"ckpt={tmp_path}/old.ckpt", f"out={tmp_path}/out"], tmp_path)
    assert_one_message(status, said, "score", "old.ckpt", "twist", "Score with the version that wrote the file")


@pytest.mark.parametrize("command", ["score", "predict"])
def test_mandatory_arguments_are_named(tmp_path, command):
    status, said = run_here([command], tmp_path)
    assert status == 2
    assert "ckpt" in said or "video" in said
    assert "Traceback" not in said


def test_diverged_model_is_not_scored(toy, tmp_path):
    """A loss that is no number is named, not written into results."""
    status, said = toy.train(tmp_path / "run", "optim.optimizer.lr=1e30", "optim.epochs=3")
    assert_one_message(status, said, "train", "not finite")
    assert not (tmp_path / "run/metrics.json").exists()


def test_half_written_scores_are_not_taken_for_whole(toy, model, tmp_path):
    argv = ["score", f"ckpt={model}", f"out={tmp_path}/out"]
    assert run_here(argv, tmp_path)[0] == 0
    whole = {p.name: p.read_bytes() for p in (tmp_path / "out/scores").iterdir()}
    (tmp_path / "out/scores/v.npz").write_bytes(whole["v.npz"][: len(whole["v.npz"]) // 2])
    status, said = run_here(["evaluate", f"run={tmp_path}/out"], tmp_path)
    assert_one_message(status, said, "evaluate", "v.npz", "truncated")
    status, said = run_here(argv, tmp_path)
    assert status == 0, said
    assert {p.name: p.read_bytes() for p in (tmp_path / "out/scores").iterdir()} == whole
    assert not np.isnan(np.load(tmp_path / "out/scores/v.npz")["logits"]).any()
