"""TransRMOT and TempRMOT go through the same commands as every method; their recipes are the published ones."""

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from one_stage_toy import METHODS, SPANS, one_stage_overrides
from toy_world import run_here, start, write_toy_world

from flexhook.configuration.resolvers import config_folder
from flexhook.configuration.trust import check_parts
from flexhook.media.video_files import open_frames
from flexhook.structures.result_files import read_results
from flexhook.training.build import build_method, load_method
from flexhook.training.checkpoints import read_checkpoint


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("one_stage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(root / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        write_toy_world(root / "data", SPANS)
        yield root


def overrides(world, method, folder):
    return one_stage_overrides(world / "data", method, folder)


@pytest.fixture(scope="module", params=METHODS)
def trained(request, world):
    folder = world / request.param
    status, said = run_here(overrides(world, request.param, folder), world)
    assert status == 0, said
    return request.param, folder, said


def test_trains_validates_and_is_tested_with_candidates_that_were_not_accepted(trained):
    _, run, said = trained
    assert "6 training items of 1 videos, 1 validation clips of 1 videos" in said
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["val/F1"] <= 100 and {"test/HOTA", "oracle/HOTA", "accept_all/HOTA"} <= metrics.keys()
    results = read_results(run / "scores", "u")
    assert len(results) == 4
    for item in results:
        assert len(item.tracks) == len(item.score) > 0 and ((item.score > 0.01) == item.accepted).all()
    checkpoint = read_checkpoint(run / "checkpoints/last.ckpt")
    check_parts(OmegaConf.create(checkpoint["flexhook"]["config"]), ["method"], "last.ckpt")


def test_scores_again_and_does_nothing_twice(world, trained):
    name, run, _ = trained
    (checkpoint, *_) = (run / "checkpoints").glob("epoch*")
    for said_again in ("4 expressions, 4 frames", "scored u: 0 expressions"):
        status, said = run_here(["score", f"ckpt={checkpoint}", f"out={world}/scored_{name}", "accelerator=cpu"], world)
        assert status == 0 and said_again in said, said
    status, said = run_here(["evaluate", f"run={world}/scored_{name}"], world)
    assert status == 0 and "accept all" in said, said


def test_an_interrupted_prediction_goes_on_with_what_is_left(trained):
    _, run, _ = trained
    (checkpoint, *_) = (run / "checkpoints").glob("epoch*")
    whole = read_results(run / "scores", "u")
    method, _ = load_method(checkpoint)
    asked = []

    class Writer:
        def missing(self):
            return whole.expressions[1:3]

        def write(self, expression, tracks, score, accepted):
            asked.append(expression)
            item = whole[whole.expressions.index(expression)]
            np.testing.assert_allclose(tracks.box, item.tracks.box, atol=1e-3)
            np.testing.assert_allclose(score, item.score, atol=1e-5)

    from flexhook.datasets.reader import load
    from flexhook.training.build import build_reader

    (video,) = load(build_reader(method.cfg), "test")
    method.prepare_inference(method.cfg, torch.device("cpu"), None)
    report = method.predict(video, whole.expressions, Writer())
    assert asked == list(whole.expressions[1:3]) and report.frames == 4
    sentence, tracks = whole.expressions[0].sentence, whole[0].tracks
    stream = method.stream([sentence], video.size)
    for frame in range(video.num_frames):
        answer = stream.update(video.frames.read(frame))[sentence]
        np.testing.assert_allclose(answer.tracks.box, tracks.box[tracks.frame == frame], atol=1e-3)
    stream.remove(sentence)
    assert stream.update(video.frames.read(0)) == {}


def test_predicts_raw_video_without_tracks(world, trained):
    name, run, _ = trained
    (checkpoint, *_) = (run / "checkpoints").glob("epoch*")
    folder = world / "data/KITTI/training/image_02/u"
    argv = ["predict", f"video={folder}", f"ckpt={checkpoint}", "sentences=[cars, red cars]", f"out={world}/predicted_{name}",
            "overlay=false", "accelerator=cpu"]  # fmt: skip
    status, said = run_here(argv, world)
    assert status == 0 and "scoring 4 frames against 2 sentences" in said, said
    rows = (world / f"predicted_{name}/cars.txt").read_text().splitlines()
    assert len(rows) > 0 and rows[0].startswith("1,") and len(open_frames(folder)) == 4


def test_a_killed_training_goes_on_to_the_same_weights(world, trained, tmp_path):
    name, run, _ = trained
    kill = ["+callbacks.kill._target_=toy_world.KillAt", "+callbacks.kill.step=9"]
    with start([*overrides(world, name, tmp_path / "run"), *kill], world) as process:
        said = process.communicate(timeout=300)[0]
    assert process.returncode not in (0, None), said
    last = tmp_path / "run/checkpoints/last.ckpt"
    status, said = run_here([*overrides(world, name, tmp_path / "run"), f"ckpt_path={last}"], world)
    assert status == 0, said
    here, there = (read_checkpoint(f / "checkpoints/last.ckpt")["state_dict"] for f in (tmp_path / "run", run))
    assert all(torch.equal(v, there[k]) for k, v in here.items())
    assert (tmp_path / "run/metrics.json").read_text() == (run / "metrics.json").read_text()


def test_a_checkpoint_of_the_other_method_is_refused(world, trained):
    name, run, _ = trained
    other = next(m for m in METHODS if m != name)
    argv = [*overrides(world, other, world / "refused"), f"ckpt_path={run}/checkpoints/last.ckpt"]
    status, said = run_here(argv, world)
    assert status == 2 and f"the checkpoint is of the method {name}" in said, said


def composed(*given):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [*given, "name=x", "run_dir=/x"])


@pytest.mark.parametrize("method", ["flexhook", "ikun", *METHODS])
def test_one_sweep_over_methods_composes(method):
    cfg = composed(f"method={method}", "experiment=synthetic_tiny")
    assert cfg.method.name == method
    built = build_method(cfg)
    assert built.name == method and sum(p.numel() for p in built.network.parameters()) > 0


def test_without_a_method_an_experiment_trains_flexhook():
    assert composed("experiment=synthetic_tiny") == composed("experiment=synthetic_tiny", "method=flexhook")


RECIPES = ("transrmot_refer_kitti", "temprmot_refer_kitti", "temprmot_refer_kitti_v2")
TABLE = {
    "method.name": ("transrmot", "temprmot", "temprmot"),
    "sampling.lengths": ([2], [4], [5]),
    "sampling.batch_size": (1,) * 3,
    "sampling.clip_expressions": (1,) * 3,
    "optim.epochs": (100, 60, 60),
    "optim.milestones": ([50], [40], [40]),
    "optim.factor": (0.1,) * 3,
    "optim.optimizer.lr": (1e-4,) * 3,
    "optim.weight_decay": (1e-4,) * 3,
    "select_by": ("last", 50, 50),
    "model.train_history": (None, 4, 5),
    "model.test_history": (None, 8, 8),
    "model.random_drop": (0.1, None, None),
    "model.fp_ratio": (0.3, None, None),
    "model.width": (256,) * 3,
    "model.num_queries": (300,) * 3,
    "model.dropout": (0.0,) * 3,
    "model.fixed": (["visual.net.conv1", "visual.net.bn1", "visual.net.layer1"],) * 3,
    "trainer.gradient_clip_val": (0.1,) * 3,
    "trainer.precision": ("32-true",) * 3,
    "freeze": (["text"],) * 3,
    "data.reader.splits.test": (["0005", "0011", "0013"], ["0005", "0011", "0013"], ["0005", "0011", "0013", "0019"]),
    "method.thresholds": ([0.7, 0.6, 5, 0.7, 100, 0.5], *[[0.6, 0.5, 10, 0.6, 100, 0.4]] * 2),
}


def plain(value):
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


@pytest.mark.parametrize("column", range(3), ids=RECIPES)
def test_every_number_of_the_published_recipes(column):
    cfg = composed(f"experiment={RECIPES[column]}", "data.root=/x")
    cfg.method.thresholds = list(cfg.method.thresholds.values())
    assert {k: plain(OmegaConf.select(cfg, k)) for k in TABLE} == {k: row[column] for k, row in TABLE.items()}
    assert plain(cfg.method.slow) == {"visual.": 0.1, "reference_points": 0.1, "sampling_offsets": 0.1}
    assert plain(cfg.loss.weights) == {"ce": 2, "bbox": 5, "giou": 2, "refer": 2}
    assert plain(cfg.loss.cost) == {"classes": 2, "l1": 5, "giou": 2}


def test_the_checkpoint_of_an_epoch_or_the_last_one_is_tested(world):
    for select, name in (("1", "epoch000-kept.ckpt"), ("last", "last.ckpt")):
        folder = world / f"selected_{select}"
        status, said = run_here([*overrides(world, "transrmot", folder), f"select_by={select}"], world)
        assert status == 0 and f"best checkpoint: {folder}/checkpoints/{name}" in said, said
    status, said = run_here([*overrides(world, "transrmot", world / "late"), "select_by=3"], world)
    assert status == 2 and "select_by is 3, and the training has 2 epochs" in said, said
