"""Sweeps: what is run, where runs lie, and what becomes of one found again."""

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import joblib
import pytest
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf

from flexhook.commands import sweep
from flexhook.commands.sweep import parser, plan
from flexhook.configuration.resolvers import config_folder, run_name
from flexhook.errors import ConfigError, FlexHookError
from flexhook.sweeps import multirun
from flexhook.sweeps.multirun import Sweep, run_of_sweep
from flexhook.sweeps.study import Study, ablation_options, find_study
from flexhook.sweeps.study_page import _baseline
from flexhook.training import devices
from flexhook.training.checkpoints import newest_checkpoint
from flexhook.training.resume import go_on
from flexhook.training.running import fallen, running
from flexhook.training.scheduled_ranks import OtherRankFailed
from flexhook.training.wandb_log import place


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
    planned, _ = plan(given)
    assert planned.runs == ("components/pcd", "decoder/mine")
    assert f"--config-dir={tmp_path}" in planned.arguments


def test_a_sweep_is_one_train_line():
    planned, study = plan(parser().parse_intermixed_args(["points", "--seeds", "2", "experiment=synthetic_tiny"]))
    assert planned.arguments[:2] == ["train", "-m"]
    assert planned.arguments[-2:] == ["seed=0,1", "hydra.sweep.dir=outputs/points_synthetic_tiny"]
    assert "ablation=points/m0,points/m1,points/m5,points/m10,points/m20" in planned.arguments
    assert study.baseline == "points/m10"
    assert str(planned.run_folders()["points/m5"][1]) == "outputs/points_synthetic_tiny/m5/seed1"


def test_run_folders_are_named_as_hydra_names_them():
    planned, _ = plan(parser().parse_intermixed_args(["points/m5", "optim.warmup_steps=5", "loss.match.gamma=3e-3", "seed=1"]))
    jobs = BasicSweeper.split_arguments(
        OverridesParser.create().parse_overrides([a for a in planned.arguments if "=" in a and "hydra." not in a]), None)
    assert planned.run_folders()["points/m5"][0].parent.name == run_name(jobs[0][0], str(planned.folder))
    assert "loss.match.gamma=0.003" in run_name(jobs[0][0], str(planned.folder))


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


def test_wandb_takes_the_name_of_a_run_however_many_overrides_it_has():
    name = run_name([f"model.hook.some_key{k}=0.001" for k in range(20)], "outputs/x")
    placed = place(Path("outputs", "s" * 200, name, "seed12"))
    assert placed["name"] == f"{name}-seed12"  # not cut: the digest that tells it from others is in it
    assert max(map(len, placed.values())) == 128


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
        monkeypatch.setattr(devices, "_held", None)
        assert devices.take_gpu(["4", "5"], tmp_path) == expected
        assert devices.take_gpu(["4", "5"], tmp_path) == expected
        held.append(devices._held)
    monkeypatch.setattr(devices, "_held", None)
    with pytest.raises(ConfigError.__mro__[1], match="all 2 GPUs are taken"):
        devices.take_gpu(["4", "5"], tmp_path)
    for lock in held:
        lock.close()
    assert devices.take_gpu([], tmp_path) is None


def starts_a_process(cfg):
    """In a worker of joblib: what a run's training would do."""
    def train(cfg, resume):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(abs, -3.0).result()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flexhook.training.job.train", train)
        return run_of_sweep(cfg)


@pytest.mark.slow
def test_a_run_under_joblib_can_start_processes(tmp_path):
    jobs = [joblib.delayed(starts_a_process)(config(tmp_path / str(k))) for k in range(2)]
    assert joblib.Parallel(n_jobs=2, backend="loky")(jobs) == [3.0, 3.0]


STAND_IN = """#!{python}
import os, signal, sys
from pathlib import Path
given = dict(a.split("=", 1) for a in sys.argv if "=" in a)
jobs = [(run, seed) for run in given["ablation"].split(",") for seed in given["seed"].split(",")]
folders = [Path(given["hydra.sweep.dir"], run.partition("/")[2], f"seed{{seed}}") for run, seed in jobs]
beside = 2 if "launcher=joblib" in sys.argv else 1
left = [k for k in range(len(jobs)) if not (folders[k] / "metrics.json").is_file()]
for at in range(0, len(left), beside):
    if any(jobs[k][0] in given.get("hydra.broken", "").split("+") for k in left[at : at + beside]):
        sys.exit(2)  # it does not compose
    for k in left[at : at + beside]:
        folders[k].mkdir(parents=True, exist_ok=True)
        (folders[k] / ".running").touch()
        with open(Path(given["hydra.sweep.dir"], "begun.txt"), "a") as file:
            file.write(" ".join(jobs[k]) + "\\n")
    if ("part/deadly", "1") in [jobs[k] for k in left[at : at + beside]]:
        os.kill(os.getpid(), signal.SIGKILL) if beside == 1 else sys.exit(1)  # a worker was killed, and the pool ends
    for k in left[at : at + beside]:
        name, text = ("failed.txt", "wrong\\n") if jobs[k][0].endswith("wrong") else ("metrics.json", "{{}}")
        (folders[k] / name).write_text(text)
        (folders[k] / ".running").unlink()
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """In place of ``flexhook train -m``: makes the folders that its runs would."""
    path = tmp_path / "python"
    path.write_text(STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setattr(multirun.sys, "executable", str(path))


@pytest.mark.parametrize(("overrides", "how", "again"), [
    ((), "by SIGKILL", 0), (("launcher=joblib",), "from outside", 2)])  # both that fell together are tried again, alone
def test_a_sweep_goes_on_behind_a_run_whose_process_was_killed(stand_in, tmp_path, overrides, how, again):
    killed = Sweep(tmp_path / "part", ("part/wrong", "part/deadly", "part/good", "part/better"), (0, 1, 2), overrides)
    for attempt in (1, 2):  # the same command again does not end at the same run for ever
        assert killed.run() != 0
        assert [str(f.relative_to(tmp_path / "part")) for f in killed.finished()] == [
            "deadly/seed0", "deadly/seed2", *(f"{run}/seed{k}" for run in ("good", "better") for k in range(3))]
        assert [line.partition(" (/")[0] for line in killed.failures()] == [
            *(f"part/wrong, seed {k}: wrong" for k in range(3)),
            f"part/deadly, seed 1: its process was ended {how}, as the system does when memory runs out"]
        begun = (tmp_path / "part/begun.txt").read_text().splitlines()
        assert len(begun) == (12 + again if attempt == 1 else 16 + 2 * again)


def test_a_run_that_does_not_compose_does_not_take_the_others_with_it(stand_in, tmp_path):
    runs = ("part/bad", "part/one", "part/worse", "part/two")
    broken = Sweep(tmp_path / "part", runs, (0, 1), ("hydra.broken=part/bad+part/worse",))
    assert broken.run() == 2
    assert [folder.parent.name for folder in broken.finished()] == ["one", "one", "two", "two"]
    assert [line.partition(";")[0] for line in broken.failures()] == [
        f"part/{run}, seed {k}: its process ended before the run began" for run in ("bad", "worse") for k in (0, 1)]


def test_a_mistake_in_the_whole_sweep_is_not_repeated_for_every_run(stand_in, tmp_path):
    runs = tuple(f"part/r{k}" for k in range(6))
    broken = Sweep(tmp_path / "part", runs, (0,), (f"hydra.broken={'+'.join(runs)}",))
    assert broken.run() == 2
    assert sum("before the run began" in line for line in broken.failures()) == 3
    assert sum("not finished" in line for line in broken.failures()) == 3


def refuse(cfg, resume):
    raise ConfigError("the folder holds a run of another configuration", file=cfg.run_dir)


def test_a_run_of_another_configuration_is_neither_done_nor_reported(tmp_path, monkeypatch):
    planned = Sweep(tmp_path, ("points/m5",), (0,))
    (folder,) = planned.run_folders()["points/m5"].values()
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")
    assert planned.finished() == [folder] and planned.failures() == []
    monkeypatch.setattr("flexhook.training.job.train", refuse)
    with pytest.raises(ConfigError):
        run_of_sweep(config(folder))
    assert planned.finished() == []
    assert "seed 0: " in planned.failures()[0] and "another configuration" in planned.failures()[0]
    monkeypatch.setattr("flexhook.training.job.train", lambda cfg, resume: 1.0)  # with the first configuration again
    assert run_of_sweep(config(folder)) == 1.0
    assert planned.finished() == [folder]


def test_a_sweep_with_failures_is_no_success(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs/points/m5/seed0")
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")  # and nothing else: the report cannot be made
    monkeypatch.setattr(Sweep, "run", lambda self: 0)
    assert sweep.run(["points/m5", "--seeds", "2", "--name", "points"]) == 1
    said = capsys.readouterr()
    assert "1 of 2 runs are done" in said.out
    assert "not done: points/m5, seed 1: not finished" in said.out
    monkeypatch.setattr(Sweep, "run", lambda self: 2)
    assert sweep.run(["points/m5", "--seeds", "1", "--name", "points", "--no-report"]) == 1


def build_decoder(cfg, resume):
    instantiate({"_target_": "flexhook.methods.flexhook.decoder.PairwiseCorrespondenceDecoder", "width": 8, "teeth": 3})


def locate_nothing(cfg, resume):
    instantiate({"_target_": "nowhere_to_be_found.Decoder"})


@pytest.mark.parametrize(("train", "words"), [
    (build_decoder, ["PairwiseCorrespondenceDecoder", "unexpected keyword argument 'teeth'"]),
    (locate_nothing, ["nowhere_to_be_found.Decoder", "No module named 'nowhere_to_be_found'"]),
    (refuse, ["holds a run of another configuration"]),
    (lambda cfg, resume: {}["key"], ["KeyError: 'key'"])])
def test_the_first_line_left_of_a_failed_run_names_the_cause(tmp_path, monkeypatch, train, words):
    monkeypatch.setattr("flexhook.training.job.train", train)
    with pytest.raises(Exception):  # noqa: B017
        run_of_sweep(config(tmp_path))
    first = (tmp_path / "failed.txt").read_text().splitlines()[0]
    assert all(word in first for word in words), first
    assert "full_key" not in first


def test_ranks_of_a_job_leave_the_first_cause(tmp_path, monkeypatch):
    rank = {"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    note = tmp_path / "failed.txt"

    def attempt(number, error):
        def train(cfg, resume):
            raise error

        for key, value in (rank | {"SLURM_PROCID": str(number)}).items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr("flexhook.training.job.train", train)
        with pytest.raises(FlexHookError):
            run_of_sweep(config(tmp_path))

    attempt(1, OtherRankFailed("process 0 failed"))
    assert not note.exists()
    attempt(0, FlexHookError("no data"))
    attempt(1, FlexHookError("connection lost"))
    assert note.read_text() == "no data\n"


@pytest.mark.parametrize(("key", "value"), [("trainer", {"devices": 1}), ("sampling", {"num_workers": 3, "keep_images": True}),
                                            ("scoring", {"num_workers": 4}), ("own_gpu", True)])
def test_a_run_goes_on_with_another_launcher_and_other_workers(tmp_path, key, value):
    OmegaConf.save(config(tmp_path, trainer={"devices": "auto"}, sampling={"num_workers": 0}), tmp_path / "config.yaml")
    assert not go_on(tmp_path, config(tmp_path, **{"trainer": {"devices": "auto"}, "sampling": {"num_workers": 0}, key: value}))
    with pytest.raises(ConfigError, match=r"sampling\.stride"):
        go_on(tmp_path, config(tmp_path, trainer={"devices": 1}, sampling={"num_workers": 0, "stride": 3}))


def test_each_run_may_have_its_own_baseline(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text("runs: [a, b, c]\nbaseline: {b: a, c: a}\n")
    study = find_study("mine", [tmp_path])
    names = {"a": "A", "b": "B", "c": "C"}
    assert _baseline(study, names, {"A", "B", "C"}) == {"B": "A", "C": "A"}
    assert _baseline(study, names, {"A", "C"}) == {"C": "A"}  # b has no results yet
    assert _baseline(Study("x", ("a", "b")), names, {"B"}) is None
    (tmp_path / "study" / "mine.yaml").write_text("runs: [a, b]\nbaseline: {b: d}\n")
    with pytest.raises(ConfigError, match="RUN: RUN entries"):
        find_study("mine", [tmp_path])
    assert find_study("components").baseline["components/chook"] == "components/ikun"


def test_a_run_folder_belongs_to_one_process(tmp_path):
    holding = "import sys; from pathlib import Path; from flexhook.training.running import running\n" \
              "with running(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", holding, str(tmp_path)], **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"process {other.pid} is training into this folder"):
            with running(tmp_path, patience=0.3):
                pass
        assert not fallen(tmp_path, patience=0.3)
        other.kill()
    assert fallen(tmp_path)  # a killed one leaves its file, but not the lock
    with running(tmp_path, patience=0.3):
        assert (tmp_path / ".running").read_text() == str(os.getpid())
    assert not fallen(tmp_path)
    assert not (tmp_path / ".running").exists()


@pytest.mark.parametrize(("arguments", "reasons"), [
    ([], []), (["launcher=joblib", "hydra.launcher.n_jobs=2", "sampling.num_workers=2"], []),  # where, not what
    (["experiment=synthetic_small"], []),  # its own
    (["--seeds", "5"], []),
    (["experiment=synthetic_tiny"], ["experiment=synthetic_tiny"]),
    (["optim.epochs=1"], ["optim.epochs=1"]),
    (["--seeds", "1"], ["1 of 3 seeds"])])
def test_the_page_of_a_study_is_not_replaced_by_runs_of_another_one(tmp_path, monkeypatch, capsys, arguments, reasons):
    monkeypatch.chdir(tmp_path)
    given = parser().parse_intermixed_args(["components", "--study", *arguments])
    planned, study = plan(given)
    assert sweep.other_than(study, given) == reasons
    folder = planned.run_folders()["components/pcd"][0]
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")
    written = []
    monkeypatch.setattr(Sweep, "run", lambda self: 0)
    monkeypatch.setattr("flexhook.sweeps.study_page.report_study", lambda study, sweep, folder: written.append(folder))
    sweep.run(["components", "--study", *arguments])
    assert written == [planned.folder / "report" if reasons else Path("experiments/components")]
    assert ("experiments/components is left as it is" in capsys.readouterr().out) == bool(reasons)
