"""Hyper-parameter search with Optuna, logged to wandb."""

import pytest
from toy_world import start


@pytest.mark.slow
def test_a_search_with_optuna_runs_its_trials_and_goes_on(toy, tmp_path):
    for trials in (2, 3):  # the second search draws the first two again and finds them done
        with start(["train", "-m", "hparams_search=optuna", *toy.overrides, f"hydra.sweeper.n_trials={trials}", "logger=wandb",
                    "optim.epochs=1", f"hydra.sweep.dir={tmp_path}/search"], tmp_path) as process:
            said = process.communicate(timeout=600)[0]
        assert process.returncode == 0, said
        assert "Best value" in said
    assert (tmp_path / "search/optuna.db").is_file()
    runs = list((tmp_path / "search").glob("*/seed0/metrics.json"))
    assert len(runs) == 3
    assert all(list(run.parent.glob("wandb/offline-run-*")) for run in runs)


@pytest.mark.slow
def test_wandb_without_an_account_is_one_message(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    for name in ("WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with start(["train", *toy.overrides, "logger=wandb", f"hydra.run.dir={tmp_path}/run"], tmp_path) as process:
        said = process.communicate(timeout=600)[0]
    assert process.returncode != 0
    assert "Traceback" not in said and "WANDB_MODE=offline" in said
