"""Configurations at the door: those of the project pass, and what is of the wrong kind does not."""

import pytest
from hydra import compose, initialize_config_dir

import flexhook.configuration.resolvers  # noqa: F401
from flexhook.configuration.check_config import check_config
from flexhook.configuration.resolvers import config_folder
from flexhook.errors import ConfigError

EXPERIMENTS = sorted(p.stem for p in (config_folder() / "experiment").glob("*.yaml") if p.stem != "none")


def composed(*overrides):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [*overrides, "name=x", "run_dir=/x", "data.root=/x"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_passes(experiment):
    check_config(composed(f"experiment={experiment}"))


@pytest.mark.parametrize("wrong", ["sampling.expressions=0", "optim.epochs=many", "num_frames=0", "trainer.max_time=20",
                                   "scoring.smoothing=-1", "scoring.smoothing=1.5", "scoring.smoothing=two"])
def test_a_wrong_value_is_named(wrong):
    with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
        check_config(composed("experiment=synthetic", wrong))
