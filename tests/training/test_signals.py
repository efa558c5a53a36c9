"""A command that is stopped says so, with the status of its signal and how to go on; nothing ends with 0 before it is done."""

import os
import signal
import sys
import time

import pytest
from omegaconf import OmegaConf
from toy_world import run_here, start

import flexhook.configuration.resolvers  # noqa: F401  makes new_folder known
from flexhook.synthetic.workers import spread

LONG = ["optim.epochs=400", "test=false", "trainer=cpu"]


def wait_for(folder, pattern, process, seconds=300):
    begin = time.monotonic()
    while not any(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - begin < seconds
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status", "word"), [
    (signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")])  # fmt: skip
def test_a_stopped_training_names_the_checkpoint_to_go_on_from(toy, tmp_path, number, status, word):
    process = start(["train", *toy.overrides, *LONG, "hydra.run.dir=run"], tmp_path)
    wait_for(tmp_path, "run/checkpoints/last.ckpt", process)
    process.send_signal(number)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == status, said
    assert f"flexhook train: {word}; go on with ckpt_path={tmp_path}/run/checkpoints/" in said and "Traceback" not in said
    checkpoint = said.rpartition("ckpt_path=")[2].split()[0]
    assert not list(tmp_path.rglob("*.tmp")) and not (tmp_path / "run/.running").exists()
    argv = ["train", *toy.overrides, f"ckpt_path={checkpoint}", *LONG, "trainer.max_time=00:00:00:01", "hydra.run.dir=run"]
    status, said = run_here(argv, tmp_path)
    assert status == 0, said


def test_a_training_stopped_before_its_first_checkpoint_names_none(toy, tmp_path):
    argv = ["train", *toy.overrides, *LONG, "hydra.run.dir=run", "+callbacks.checkpoint.every_n_epochs=300"]
    process = start(argv, tmp_path)
    wait_for(tmp_path, "run/meta.json", process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 143, said
    assert "terminated; it has left no checkpoint: run it again" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_multirun_is_not_a_success(toy, tmp_path, number):
    process = start(["train", "-m", *toy.overrides, *LONG, "seed=0,1", "hydra.sweep.dir=sweep"], tmp_path)
    wait_for(tmp_path, "sweep/*/seed0/checkpoints/last.ckpt", process)
    process.send_signal(number)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + number, said
    assert "the same command goes on where it stopped" in said
    assert not list(tmp_path.glob("sweep/*/seed1"))


def test_stopping_the_supervisor_ends_its_processes(toy, tmp_path):
    argv = ["train", *toy.overrides, *LONG, "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=run"]
    process = start(argv, tmp_path)
    wait_for(tmp_path, "run/checkpoints/last.ckpt", process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=300)[0]  # comes to its end only when the processes have closed its output, too
    assert process.returncode == 143, said
    assert f"go on with ckpt_path={tmp_path}/run/checkpoints/" in said


def test_a_killed_rank_is_told_with_its_signal(toy, tmp_path):
    argv = ["train", *toy.overrides, *LONG, "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=run",
            "+callbacks.kill._target_=toy_world.KillAt", "+callbacks.kill.step=2"]
    process = start(argv, tmp_path)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 2, said
    assert "of 2 was killed by signal 9 (out of memory?)" in said


def test_a_library_that_ends_the_process_is_no_success(tmp_path, monkeypatch):
    """sys.exit() without a status inside of a job, as a trainer that notes SIGTERM does."""
    import flexhook.commands.score as score
    from flexhook.commands.hydra_app import hydra_command

    monkeypatch.setattr(score, "run", hydra_command("score", lambda cfg: sys.exit()))
    status, said = run_here(["score", "ckpt=none"], tmp_path)
    assert status == 2 and "score was ended before it was done" in said


def test_a_killed_worker_of_a_pool_is_one_message(tmp_path, monkeypatch):
    import flexhook.commands.data as data

    monkeypatch.setattr(data, "run", lambda argv: spread(end_hard, [1, 2], workers=2))
    status, said = run_here(["data", "stats"], tmp_path)
    assert status == 2 and "flexhook data: a worker process was killed (out of memory?)" in said, said


def end_hard(job):
    os.kill(os.getpid(), signal.SIGKILL)


def test_two_runs_of_one_second_have_a_folder_each(tmp_path, monkeypatch):
    """Hydra asks for the folder's name several times; it stays the same within one run."""
    monkeypatch.chdir(tmp_path)
    text = "${new_folder:outputs/a/2026-11-30_12-00-00}"
    runs = [OmegaConf.create({"dir": text, "again": "${dir}"}) for _ in range(3)]
    names = [(cfg.dir, cfg.dir, cfg.again) for cfg in runs]
    assert names == [(f"outputs/a/2026-11-30_12-00-00{end}",) * 3 for end in ("", "-2", "-3")]


def test_two_trainings_started_at_once_do_not_meet(toy, tmp_path):
    """No folder is given: the time names them."""
    argv = ["train", *toy.overrides, "optim.epochs=1", "test=false", "trainer=cpu"]
    processes = [start(argv, tmp_path) for _ in range(2)]
    for process in processes:
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
    assert len(list(tmp_path.glob("outputs/toy/*/metrics.json"))) == 2
