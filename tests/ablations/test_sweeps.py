"""Sweeps: what is run, where runs lie, and what becomes of one found again."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import joblib
import pytest
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from flexhook.errors import ConfigError
from flexhook.experiment import own_gpu
from flexhook.experiment.config_folder import config_folder
from flexhook.experiment.resolvers import run_name
from flexhook.experiment.resume import go_on, newest_checkpoint
from flexhook.experiment.study import ablation_options, find_study
from flexhook.experiment.sweep import parser, plan, run_of_sweep


def config(folder, **more):
    return OmegaConf.create({"run_dir": str(folder), "seed": 0, "ckpt_path": None, "optim": {"epochs": 2}, **more})


def test_a_group_runs_in_natural_order():
    assert ablation_options("points") == [f"points/m{m}" for m in (0, 1, 5, 10, 20)]
    assert ablation_options("components/ikun") == ["components/ikun"]
    with pytest.raises(ConfigError, match=r"no ablation 'component'.*Did you mean components"):
        ablation_options("component")


def test_a_users_own_option_joins_a_sweep(tmp_path):
    (tmp_path / "ablation" / "decoder").mkdir(parents=True)
    (tmp_path / "ablation" / "decoder" / "mine.yaml").write_text("# @package _global_\n")
    given = parser().parse_intermixed_args(["components/pcd,decoder/mine", "--config-dir", str(tmp_path), "--name", "both"])
    sweep, _ = plan(given)
    assert sweep.runs == ("components/pcd", "decoder/mine")
    assert f"--config-dir={tmp_path}" in sweep.arguments


def test_a_sweep_is_one_train_line():
    sweep, study = plan(parser().parse_intermixed_args(["points", "--seeds", "2", "experiment=synthetic_tiny"]))
    assert sweep.arguments[:2] == ["train", "-m"]
    assert sweep.arguments[-2:] == ["seed=0,1", "hydra.sweep.dir=outputs/points_synthetic_tiny"]
    assert "ablation=points/m0,points/m1,points/m5,points/m10,points/m20" in sweep.arguments
    assert study.baseline == "points/m10"
    assert str(sweep.run_folders()["points/m5"][1]) == "outputs/points_synthetic_tiny/m5/seed1"


def test_run_folders_are_named_as_hydra_names_them():
    sweep, _ = plan(parser().parse_intermixed_args(["points/m5", "optim.warmup_steps=5", "loss.match.gamma=3e-3", "seed=1"]))
    jobs = BasicSweeper.split_arguments(
        OverridesParser.create().parse_overrides([a for a in sweep.arguments if "=" in a and "hydra." not in a]), None)
    assert sweep.run_folders()["points/m5"][0].parent.name == run_name(jobs[0][0], str(sweep.folder))
    assert "loss.match.gamma=0.003" in run_name(jobs[0][0], str(sweep.folder))


@pytest.mark.parametrize("wrong", ["optim.epochs", "=3", "optim.epochs=1,2"])
def test_overrides_of_a_sweep_have_one_value(wrong):
    with pytest.raises(ConfigError, match=r"is no override|several values"):
        plan(parser().parse_intermixed_args(["points", wrong]))


def test_every_study_names_options_that_exist():
    for path in (config_folder() / "study").glob("*.yaml"):
        study = find_study(path.stem)
        assert all(ablation_options(run) == [run] for run in study.runs)


@pytest.mark.parametrize(("overrides", "folder", "name"), [
    (["ablation=components/ikun", "seed=3"], "outputs/components_x", "ikun"),
    (["ablation=freeze/none"], "outputs/other", "freeze-none"),
    (["optim.lr=0.1", "experiment=synthetic", "callbacks.checkpoint.save_top_k=1"], "outputs/lr", "optim.lr=0.1"),
    (["seed=1"], "outputs/seeds", "run")])
def test_a_runs_name_tells_what_it_is_not_where(overrides, folder, name):
    assert run_name(overrides, folder) == name


def test_a_run_found_again_is_skipped_resumed_or_refused(tmp_path):
    cfg = config(tmp_path)
    assert not go_on(tmp_path / "new", cfg)
    OmegaConf.save(cfg, tmp_path / "config.yaml")
    assert not go_on(tmp_path, cfg)
    assert cfg.ckpt_path is None
    (tmp_path / "checkpoints").mkdir()
    torch.save({"global_step": 8}, tmp_path / "checkpoints" / "epoch000.ckpt")
    assert not go_on(tmp_path, cfg)
    assert cfg.ckpt_path.endswith("epoch000.ckpt")
    (tmp_path / "metrics.json").write_text(json.dumps({"val/F1": 12.5}))
    assert go_on(tmp_path, cfg)
    with pytest.raises(ConfigError, match=r"another configuration: optim.epochs: 2, now 3"):
        go_on(tmp_path, config(tmp_path, optim={"epochs": 3}))


def test_the_newest_whole_checkpoint_is_taken(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for name, step in (("epoch000.ckpt", 4), ("last.ckpt", 4), ("epoch001.ckpt", 8)):
        torch.save({"global_step": step}, tmp_path / name)
    assert newest_checkpoint(tmp_path).name == "epoch001.ckpt"
    cut = tmp_path / "epoch001.ckpt"
    cut.write_bytes(cut.read_bytes()[:100])
    assert newest_checkpoint(tmp_path).name == "last.ckpt"


def test_a_process_takes_a_free_gpu_and_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    held = []
    for expected in ("4", "5"):
        monkeypatch.setattr(own_gpu, "_held", None)
        assert own_gpu.take_gpu(["4", "5"], tmp_path) == expected
        assert own_gpu.take_gpu(["4", "5"], tmp_path) == expected
        held.append(own_gpu._held)
    monkeypatch.setattr(own_gpu, "_held", None)
    with pytest.raises(ConfigError.__mro__[1], match="all 2 GPUs are taken"):
        own_gpu.take_gpu(["4", "5"], tmp_path)
    for lock in held:
        lock.close()
    assert own_gpu.take_gpu([], tmp_path) is None


def starts_a_process(cfg):
    """In a worker of joblib: what a run's training would do."""
    def train(cfg, resume):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(abs, -3.0).result()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flexhook.experiment.train.train", train)
        return run_of_sweep(cfg)


@pytest.mark.slow
def test_a_run_under_joblib_can_start_processes(tmp_path):
    jobs = [joblib.delayed(starts_a_process)(config(tmp_path / str(k))) for k in range(2)]
    assert joblib.Parallel(n_jobs=2, backend="loky")(jobs) == [3.0, 3.0]
