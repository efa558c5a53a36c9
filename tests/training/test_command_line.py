"""The console script: quick help, composed configurations, sweeps, one message for a mistake in them."""

import subprocess
import sys
import time

import pytest
from omegaconf import OmegaConf
from toy_world import run_here

from flexhook.commands.bench import BENCHMARKS
from flexhook.commands.main import main


def test_help_answers_within_a_second_and_without_torch():
    watched = "import sys; from flexhook.commands.main import main; main(['--help']); print('torch' in sys.modules)"
    seconds = []
    for _ in range(3):  # the best of three: other processes may want the processor too
        begin = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 1
    assert done.stdout.endswith("False\n")
    for name in ("train", "score", "track", "predict", "evaluate", "data", "render", "report", "bench", "convert", "parity"):
        assert f"\n  {name} " in done.stdout


def test_composed_configuration_is_printed_without_training(tmp_path):
    begin = time.perf_counter()
    status, said = run_here(["train", "--cfg", "job", "experiment=synthetic_tiny", "optim.epochs=3"], tmp_path)
    assert status == 0
    assert time.perf_counter() - begin < 60
    cfg = OmegaConf.create(said)
    assert (cfg.optim.epochs, cfg.data.name, cfg.ckpt_path) == (3, "synthetic_tiny", None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["train", "score", "track", "predict", "evaluate"])
def test_hydra_commands_have_help(tmp_path, command):
    status, said = run_here([command, "--help"], tmp_path)
    assert status == 0
    assert "override" in said.lower() or f"flexhook {command}" in said


def test_sweep_runs_every_job_and_lists_those_that_failed(toy, tmp_path):
    argv = ["train", "-m", *toy.overrides, "optim.epochs=1", "test=false", "hydra.sweep.dir=sweep",
            "hydra.sweep.subdir=${hydra.job.num}", "sampling.batch_size=8,500,4"]
    status, said = run_here(argv, tmp_path)
    assert status == 2
    assert "flexhook train: jobs that failed:" in said
    listed = said.partition("jobs that failed:")[2]
    assert listed.count("sampling.batch_size=") == 1
    assert "sampling.batch_size=500): the training set has 20 items, one step needs 500" in listed
    assert [(tmp_path / "sweep" / str(k) / "metrics.json").is_file() for k in range(3)] == [True, False, True]
    assert "Traceback" not in said


def test_jobs_of_a_sweep_do_not_depend_on_each_other(toy, tmp_path):
    toy.run(tmp_path / "single", "seed=2", "optim.epochs=1")
    argv = ["train", "-m", *toy.overrides, "optim.epochs=1", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=${seed}", "seed=1,2"]
    status, said = run_here(argv, tmp_path)
    assert status == 0, said
    for name in ("metrics.json", "metrics.csv", "expressions.csv"):
        assert (tmp_path / "sweep/2" / name).read_text() == (tmp_path / "single" / name).read_text()
    assert (tmp_path / "sweep/1/metrics.csv").read_text() != (tmp_path / "single/metrics.csv").read_text()


@pytest.mark.parametrize(("overrides", "words"), [
    (["data=nonsense"], ["nonsense", "synthetic_tiny"]),  # an option that the group does not have
    (["colour=red"], ["colour"]),  # a key that is none
    (["optim.epoch=3"], ["epoch"]),
    (["optim.epochs=abc"], ["optim.epochs is 'abc'", "a whole number, 1 or more"]),
    (["optim.epochs=0"], ["optim.epochs is 0"]),
    (["optim.optimizer.lr=fast"], ["optim.optimizer.lr is 'fast'", "a number"]),
    (["image_size=[64]"], ["image_size is [64]", "a list of 2"]),
    (["freeze=visual"], ["freeze is 'visual'", "a list"]),
    (["freeze=[hook]"], ["freeze is ['hook']", "visual or text"]),
    (["cache_features=maybe"], ["cache_features is 'maybe'", "true or false"]),
    (["select_by=loss"], ["select_by is 'loss'", "monitor or hota"]),
    (["sampling.batch_size=2.5"], ["sampling.batch_size is 2.5"]),
    (["sampling.positives=9"], ["9 positives of 4 expressions"]),
    (["trainer.devices=two"], ["trainer.devices is 'two'", "auto or a positive number"]),
    (["trainer.precision=float7"], ["float7"]),
    (["trainer.accelerator=abacus"], ["trainer.accelerator is 'abacus'"]),
    (["span=2"], ["span is 2", "at least 4"]),
    (["visual.strides=[3,7]", "experiment=synthetic_tiny"], ["strides"]),
    (["model.hook.heads=7"], ["heads"]),
    (["sampling.expressions=null", "sampling=windows"], ["sampling.expressions is null", "sampling=clips"]),
    (["sampling=clips", "sampling.expressions=null", "sampling.batch_size=2"], ["sampling.batch_size is 2", "sampling.group"]),
    (["alignment=cosine", "alignment.weight=abc"], ["alignment.weight is 'abc'", "a number, 0 or more"]),
    (["alignment=cosine", "alignment.positive_weight=2"], ["alignment.positive_weight is 2", "between 0 and 1"]),
    (["alignment=cosine", "+alignment.scale=abc"], ["alignment.scale is 'abc'", "above 0"]),
    (["alignment=cosine", "alignment.queries=some"], ["alignment.queries is 'some'", "true or false"]),
    (["decoder=motion", "+decoder.gain=-1"], ["decoder.gain is -1", "0 or more"]),
    (["decoder=motion", "+decoder.expansion=1.5"], ["decoder.expansion is 1.5", "a whole number"]),
    (["alignment=cosine", "model=ikun", "loss=cosine_focal"], ["no trajectory tokens", "alignment=none"]),
    (["experiment=synthetic_tiny", "visual.map_scale=0"], ["visual.map_scale is 0", "above 0"]),
    (["cache_features=true"], ["cache_features=true needs frozen encoders"]),
    (["experiment"], ["experiment"]),  # no override at all
    (["ckpt_path=nowhere.ckpt"], ["nowhere.ckpt: the checkpoint does not exist"]),
])
def test_mistake_in_the_configuration_is_one_message(toy, tmp_path, overrides, words):
    status, said = toy.train(tmp_path / "run", *overrides)
    assert status == 2, said
    message = said[said.index("flexhook train: "):]
    for word in words:
        assert word in message, message
    assert "Traceback" not in said
    assert "Error executing" not in said
    assert len(message.strip().splitlines()) <= 25  # a group's options are listed one per line
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_that_is_listed_runs_its_own_module(name, capsys):
    assert main(["bench", name, "--help"]) == 0
    assert f"flexhook bench {name}" in capsys.readouterr().out
