"""Every ablation overlay composes with the benchmark."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import flexhook.experiment.resolvers  # noqa: F401
from flexhook.experiment.config_folder import config_folder

OPTIONS = sorted(p.relative_to(config_folder() / "ablation").with_suffix("").as_posix()
                 for p in (config_folder() / "ablation").rglob("*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def configs():
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("option", [o for o in OPTIONS if not o.startswith("encoders/")])
def test_an_overlay_composes(option):
    cfg = compose("train", ["experiment=synthetic_tiny", f"ablation={option}", "name=x", "run_dir=/x"])
    for part in ("model", "loss", "perturbation", "scoring", "visual", "text", "freeze", "tracker"):
        assert part in cfg
    OmegaConf.to_container(cfg, resolve=True)


def test_crops_are_as_high_as_the_frame():
    cfg = compose("train", ["experiment=synthetic_tiny", "ablation=components/ikun", "name=x", "run_dir=/x"])
    assert list(cfg.model.crop_size) == [64, 64]
    assert cfg.loss.match._target_.endswith("CosineFocalLoss")
