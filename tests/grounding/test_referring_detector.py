"""method=referring_detector: the one-stage network without track queries trains, and its detections are linked."""

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from toy_world import run_here

from flexhook.configuration.resolvers import config_folder
from flexhook.configuration.trust import check_parts
from flexhook.datasets.reader import load
from flexhook.methods.grounding.referring_method import KEPT, NetworkDetector
from flexhook.methods.one_stage.clip import run_clip
from flexhook.methods.one_stage.matching import FrameTruth, MatchCost
from flexhook.structures.result_files import read_results
from flexhook.training.build import build_method, build_reader, load_method
from flexhook.training.checkpoints import read_checkpoint

# untrained, it finds something
EASY = [f"method.thresholds.{t}" for t in ("score_above=0.0", "area_above=0", "refer_above=0.005")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("referring")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(folder / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        status, said = run_here(["train", "method=referring_detector", "experiment=synthetic_tiny", "optim.epochs=1",
                                 "sampling.interval=8", "pictures=false", *EASY, "trainer.accelerator=cpu",
                                 "hydra.run.dir=run"], folder)
    assert status == 0, said
    return folder, said


def test_trains_and_is_tested_with_what_it_accepts(trained):
    folder, said = trained
    assert "4 training items of 2 videos" in said
    metrics = json.loads((folder / "run/metrics.json").read_text())
    assert 0 <= metrics["val/F1"] <= 100 and "test/HOTA" in metrics and "oracle/HOTA" not in metrics
    results = read_results(folder / "run/scores", "0003")
    assert not results.keeps_rejected and sum(len(item.tracks) for item in results) > 0
    for item in results:
        assert item.accepted.all() and (item.score >= 0.005 - 1e-6).all()
        assert all(len(rows) >= 3 for rows in item.tracks.tracks().values())  # min_length
    config = OmegaConf.create(read_checkpoint(folder / "run/checkpoints/last.ckpt")["flexhook"]["config"])
    check_parts(config, ["method", "model", "associator"], "last.ckpt")
    assert config.sampling.lengths == [1] and "track_attention" not in config.model


def test_scores_again_from_the_checkpoint_without_detecting_anew_and_evaluates(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.setenv("FLEXHOOK_CACHE", str(folder / "cache"))
    checkpoint = f"ckpt={folder}/run/checkpoints/last.ckpt"
    status, said = run_here(["score", checkpoint, "out=scored", "accelerator=cpu"], folder)
    assert status == 0 and "20 expressions, 0 frames" in said, said  # the detections of the training's test are there
    one, two = (read_results(folder / run / "scores", "0003") for run in ("run", "scored"))
    for a, b in zip(one, two, strict=True):
        assert a.tracks.box.tolist() == b.tracks.box.tolist() and a.score.tolist() == b.score.tolist()
    status, said = run_here(["evaluate", "run=scored"], folder)
    assert status == 0 and "pooled" in said, said


def test_predicts_and_streams(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
    method, cfg = load_method(folder / "run/checkpoints/last.ckpt")
    monkeypatch.chdir(folder)
    method.prepare_inference(cfg, torch.device("cpu"), None)
    (video,) = load(build_reader(cfg), "test")
    sentence = video.expressions[0].sentence
    stream = method.stream([sentence], video.frames.read(0).shape[:2])
    seen = [len(stream.update(video.frames.read(frame))[sentence].tracks) for frame in range(4)]
    assert seen[0] == 0 and max(seen) > 0  # the associator holds back what it is not sure of
    status, said = run_here(["predict", f"ckpt={folder}/run/checkpoints/last.ckpt", "sentences=[cars]", "overlay=false",
                             f"video={folder}/data/synthetic_tiny/KITTI/training/image_02/0003", "accelerator=cpu"], folder)
    assert status == 0 and "scoring 16 frames against 1 sentences" in said, said


@pytest.fixture(scope="module")
def method():
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train", ["method=referring_detector", "experiment=synthetic_tiny", "name=x", "run_dir=/x", *EASY])
    built = build_method(cfg)
    built.module.eval()
    return built


def test_each_frame_is_by_itself(method):
    """Detections of a frame do not depend on those before; neither do losses of a frame in a longer clip."""
    detector = NetworkDetector(method.network, method.module.thresholds, method.resize)
    frames = [np.random.default_rng(k).integers(0, 255, (96, 318, 3), np.uint8) for k in range(2)]
    sentences = ["red cars", "people"]
    alone = detector.detect(frames[1], sentences)
    detector.detect(frames[0], sentences)
    again = detector.detect(frames[1], sentences[::-1])[::-1]
    for a, b in zip(alone, again, strict=True):
        assert len(a) > 0 and np.array_equal(a.xyxy, b.xyxy) and np.array_equal(a.confidence, b.confidence)
        assert (a.confidence > 0.005).all()
    assert not np.array_equal(alone[0].confidence, alone[1].confidence)
    network, truth = method.network, FrameTruth(torch.tensor([[0.5, 0.5, 0.2, 0.2]]), torch.tensor([7]), torch.tensor([1.0]))
    with torch.no_grad():
        pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        levels = network.encode_frames(pictures)
        pyramids = [[level[f] for level in levels] for f in range(2)]
        words = network.encode_sentence("red cars")
        both = run_clip(network, pyramids, words, [truth, truth], MatchCost(2, 5, 2))
        (last,) = run_clip(network, pyramids[1:], words, [truth], MatchCost(2, 5, 2)).frames
    assert len(both.frames[1].entered) == network.num_queries
    torch.testing.assert_close(both.frames[1].decoded.boxes, last.decoded.boxes)


def test_the_image_is_encoded_once_for_all_sentences(method):
    detector, seen = NetworkDetector(method.network, method.module.thresholds, method.resize), []
    handle = method.network.visual.register_forward_hook(lambda module, inputs, out: seen.append(len(inputs[0])))
    detector.detect(np.zeros((96, 318, 3), np.uint8), [f"car {k}" for k in range(5)])
    handle.remove()
    assert seen == [1] and KEPT > 5


def test_nothing_of_track_queries_is_left(method):
    assert not any(name.startswith("track_embed") for name, _ in method.network.named_parameters())
    assert method.module.thresholds.birth == 0.0 and method.module.thresholds.miss_tolerance == 1
