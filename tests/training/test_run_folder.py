"""What `flexhook train` leaves behind: the contract of DESIGN.md, section 3."""

import csv
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from flexhook.structures.result_files import read_results
from flexhook.training.code_digest import code_digests, targets

PARTS = {"HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr", "MOTA", "IDF1", "HOTA_mean_over_expressions",
         "zero_HOTA_expressions"}


def test_run_folder_has_everything(tiny):
    names = {p.name for p in tiny.run.iterdir()}
    assert names >= {"config.yaml", "meta.json", "metrics.json", "metrics.csv", "expressions.csv", "checkpoints", "scores",
                     "pictures", "train.log"}
    assert not [p for p in tiny.run.rglob("*") if p.name.endswith(".tmp") or p.name.startswith(".select")]
    assert (tiny.folder / "outputs/latest").is_symlink()
    assert tiny.run.parent == (tiny.folder / "outputs/synthetic_tiny").resolve()
    assert {p.name for p in (tiny.run / "pictures").iterdir()} == {"good_expressions.png", "bad_expressions.png",
                                                                  "learning_curves.png"}
    for path in (tiny.run / "pictures").iterdir():
        assert np.asarray(Image.open(path)).std() > 10


def test_command_says_what_it_does_and_where_the_results_lie(tiny):
    lines = tiny.said.strip().splitlines()
    assert lines[0].startswith("training 'synthetic_tiny' (seed 0) into ")
    assert lines[-1] == f"results: {tiny.run}"
    for words in ("training items of 2 videos", "epoch 1/4  train/loss", "epoch 4/4", "s left", "best checkpoint: ",
                  "scored 0003: ", "accept all", "unseen"):
        assert words in tiny.said, words
    assert lines[0] in (tiny.run / "train.log").read_text()


def test_configuration_is_resolved_and_that_of_the_command(tiny):
    text = (tiny.run / "config.yaml").read_text()
    cfg = OmegaConf.load(tiny.run / "config.yaml")
    assert "${" not in text
    assert "hydra:" not in text
    assert (cfg.optim.epochs, cfg.seed, cfg.run_dir) == (4, 0, str(tiny.run))
    assert cfg.visual.strides == [16, 32]


def test_meta_names_versions_seed_data_and_hardware(tiny):
    meta = json.loads((tiny.run / "meta.json").read_text())
    assert meta["seed"] == 0
    assert meta["versions"]["torch"] == torch.__version__.partition("+")[0] or meta["versions"]["torch"] == torch.__version__
    assert {"flexhook", "python", "lightning", "timm", "transformers", "trackeval"} <= meta["versions"].keys()
    assert meta["data"]["name"] == "synthetic_tiny"
    assert len(meta["data"]["fingerprint"]) == 16
    assert meta["hardware"]["cores"] >= 1
    assert meta["protocol"] == "default"
    assert meta["remarks"] == []
    assert "commit" in meta
    assert list(meta["code"]) == ["flexhook"]


def test_a_digest_of_the_code_changes_with_a_users_own_package(tmp_path, monkeypatch):
    package = tmp_path / "mine_of_the_digest_test"
    package.mkdir()
    (package / "__init__.py").write_text("class Decoder: pass\n")
    (package / "parts.py").write_text("width = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cfg = {"model": {"decoder": {"_target_": f"{package.name}.Decoder"}, "motion": {
        "_target_": "hydra.utils.get_method", "path": "flexhook.methods.flexhook.temporal.displacements"}},
        "losses": [{"_target_": "torch.nn.MSELoss"}, {"_target_": "nowhere_to_be_found.Loss"},
                   {"_target_": f"{package.name}.parts.Loss.of"}]}
    assert list(targets(cfg))[1:3] == ["hydra.utils.get_method", "flexhook.methods.flexhook.temporal.displacements"]
    before = code_digests(cfg)
    assert list(before) == ["flexhook", package.name]
    (package / "parts.py").write_text("width = 2\n")  # not the module that is named, but of its package
    after = code_digests(cfg)
    assert (after["flexhook"] == before["flexhook"], after[package.name] == before[package.name]) == (True, False)


def test_metrics_are_flat_numbers_from_0_to_100(tiny):
    metrics = tiny.metrics
    for answer in ("test", "oracle", "accept_all"):
        assert {f"{answer}/{name}" for name in PARTS} <= metrics.keys()
        assert f"{answer}/unseen/HOTA" in metrics
        assert f"{answer}/unseen_paraphrase/HOTA" in metrics
    assert {"val/F1", "val/precision", "val/recall"} <= metrics.keys()
    assert all(isinstance(v, float | int) for v in metrics.values())
    counts = ("expressions", "zero_HOTA_expressions", "without_referents", "MOTA")
    assert all(0 <= v <= 100 for k, v in metrics.items() if not k.endswith(counts))
    assert metrics["oracle/HOTA"] > metrics["accept_all/HOTA"]
    assert metrics["accept_all/HOTA"] > 1


def test_expressions_csv_has_a_row_per_video_and_expression(tiny):
    scores = read_results(tiny.run / "scores", "0003")
    with open(tiny.run / "expressions.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["video"], r["sentence"]) for r in rows] == [("0003", e.sentence) for e in scores.expressions]
    assert {"HOTA", "DetA", "AssA", "referents", "class", "colour", "side", "direction", "motion", "distance"} <= rows[0].keys()
    mean = sum(float(r["HOTA"]) for r in rows) / len(rows)
    assert mean == pytest.approx(tiny.metrics["test/HOTA_mean_over_expressions"])


def test_learning_log_has_losses_and_validation(tiny):
    with open(tiny.run / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    steps = [int(r["step"]) for r in rows]
    assert steps == sorted(set(steps))
    assert {"train/loss", "train/match", "train/regulariser", "lr", "val/loss", "val/F1", "val/precision",
            "val/recall"} <= rows[0].keys()
    assert sum(bool(r["val/F1"]) for r in rows) == 4
    best = max(float(r["val/F1"]) for r in rows if r["val/F1"])
    assert tiny.metrics["val/F1"] == pytest.approx(best)


def is_plain(value):
    if isinstance(value, dict):
        return all(isinstance(k, str | int) and is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float, str, torch.Tensor)


def test_checkpoints_hold_tensors_and_plain_containers_only(tiny):
    files = sorted((tiny.run / "checkpoints").iterdir())
    assert [p.name for p in files][-1] == "last.ckpt"
    assert len(files) == 5  # four epochs, all among the five best, and the last
    for path in files:
        content = torch.load(path, weights_only=True)
        assert is_plain(content), path
        assert content["flexhook"]["config"]["seed"] == 0
        assert set(content["flexhook"]["frozen"]) == {"model.visual", "model.text"}
        assert not [k for k in content["state_dict"] if k.startswith(("model.visual.", "model.text."))]
        assert content["state_dict"]["model.text_position"].abs().sum() > 0
        assert path.name == "last.ckpt" or f"f1_{content['flexhook']['metrics']['val/F1']:.2f}" in path.name


def test_five_best_checkpoints_stay(toy, tmp_path):
    toy.run(tmp_path / "run", "optim.epochs=8", "test=false")
    with open(tmp_path / "run/metrics.csv", newline="") as stream:
        scores = [float(r["val/F1"]) for r in csv.DictReader(stream) if r["val/F1"]]
    kept = sorted(int(p.name[5:8]) for p in (tmp_path / "run/checkpoints").glob("epoch*.ckpt"))
    assert len(kept) == 5
    assert sorted(scores, reverse=True)[:5] == sorted((scores[k] for k in kept), reverse=True)
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["epoch"] == 7


def test_latest_points_to_the_newest_run(toy, tmp_path):
    (tmp_path / "outputs").mkdir()
    for name in ("one", "two"):
        toy.run(tmp_path / "outputs" / name, "optim.epochs=1", "test=false")
        assert (tmp_path / "outputs/latest").resolve() == (tmp_path / "outputs" / name).resolve()
