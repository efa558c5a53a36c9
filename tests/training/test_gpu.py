"""On a GPU the commands do what they do on a CPU; skipped where there is none."""

import json

import numpy as np
import pytest
import torch
from toy_world import run_here

from flexhook.inference.pair_writer import PairWriter
from flexhook.methods.two_stage.method import build_engine
from flexhook.structures.result_files import read_results
from flexhook.trackers.from_config import build_tracker
from flexhook.training.build import build_reader, load_method

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    """A run of the smallest benchmark on a GPU."""
    folder = tmp_path_factory.mktemp("gpu")
    status, said = run_here(["train", "experiment=synthetic_tiny", "trainer=gpu", "hydra.run.dir=run"], folder)
    assert status == 0, said
    return folder


def test_run_names_the_gpu_and_its_memory(trained):
    meta = json.loads((trained / "run/meta.json").read_text())
    assert meta["hardware"]["gpus"][0] == torch.cuda.get_device_name(0)
    assert 1 < meta["costs"]["peak_memory_MB"] < torch.cuda.get_device_properties(0).total_memory / 1e6


def test_scores_of_a_gpu_are_those_of_a_cpu(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(trained)
    method, cfg = load_method(next((trained / "run/checkpoints").glob("epoch001*")))
    reader = build_reader(cfg)
    video = reader.read(reader.video_names("test")[0])
    tracks = build_tracker(cfg).track(video)
    logits = []
    for name in ("cpu", "cuda"):
        engine = build_engine(method.network, cfg, torch.device(name))
        with PairWriter(tmp_path / name, video.name, tracks, video.expressions) as writer:
            engine.score(video, tracks, video.expressions, writer)
        logits.append(read_results(tmp_path / name, video.name).logits)
    assert np.abs(logits[0]).max() > 0.1
    assert np.abs(logits[0] - logits[1]).max() < 0.02  # convolutions in TF32


def test_a_gpu_run_goes_on_from_its_last_checkpoint(trained):
    command = ["train", "experiment=synthetic_tiny", "trainer=gpu", "pictures=false"]
    status, said = run_here([*command, "hydra.run.dir=more", "optim.epochs=3", "ckpt_path=run/checkpoints/last.ckpt"], trained)
    assert status == 0, said
    assert "epoch 3/3" in said and "epoch 2/3" not in said


def test_predicts_and_renders_on_a_gpu(trained):
    status, said = run_here(
        ["predict", "video=data/synthetic_tiny/KITTI/training/image_02/0003",
         "tracks=data/synthetic_tiny/tracks/simulated/0003/car/predict.txt", "sentences=['cars in the left']",
         f"ckpt={next((trained / 'run/checkpoints').glob('epoch001*'))}", "out=predicted"], trained,
    )  # fmt: skip
    assert status == 0, said
    assert list((trained / "predicted").rglob("*.mp4"))
