"""Every ablation overlay composes, and its parts can be built, with the benchmark and with the published recipes."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

import flexhook.configuration.resolvers  # noqa: F401
from flexhook.configuration.check_config import check_config
from flexhook.configuration.resolvers import config_folder
from flexhook.training.build import build_method

OPTIONS = sorted(p.relative_to(config_folder() / "ablation").with_suffix("").as_posix()
                 for p in (config_folder() / "ablation").rglob("*.yaml"))
QUICK = [o for o in OPTIONS if o.startswith(("components/", "perturbation/", "scales/", "window/"))]
QUICK += ["alignment/on", "queries/motion", "control/boxes_only", "control/shuffled", "tracker/x2"]
QUICK += ["encoders/rope_swin_tiny-minilm"]
PERTURBATIONS = [o for o in OPTIONS if o.startswith("perturbation/")]


@pytest.fixture(scope="module", autouse=True)
def configs():
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield


def composed(experiment, option):
    return compose("train", [f"experiment={experiment}", f"ablation={option}", "name=x", "run_dir=/x", "data.root=/x"])


def build_every_part(experiment, option):
    """All parts of a run; the model without memory for its weights, and text encoders of one layer."""
    cfg = composed(experiment, option)
    OmegaConf.set_struct(cfg, False)
    for part in (cfg.visual, cfg.text):
        if "pretrained" in part:
            part.pretrained = False
    if "tokenizer" in cfg.text:  # of a model on the hub
        cfg.text.tokenizer = "hashing"
        cfg.text.update({"config": {"num_hidden_layers": 1}} if "model" in cfg.text else {})
    OmegaConf.to_container(cfg, resolve=True)
    check_config(cfg)
    masking, _, _ = (instantiate(cfg.perturbation[part]) for part in ("masking", "jitter", "swap"))
    assert masking.length(cfg.num_frames) >= cfg.num_frames
    tracker = cfg.tracker.associator if cfg.tracker and "detector" in cfg.tracker else cfg.tracker  # trained first
    for part in (cfg.sampling["items"], cfg.sampling.val_items, tracker):
        if part is not None:
            instantiate(part)
    with torch.device("meta"):
        return build_method(cfg).module


@pytest.mark.parametrize("option", [o if o in QUICK else pytest.param(o, marks=pytest.mark.slow) for o in OPTIONS])
def test_every_part_of_an_ablation_is_built_on_the_benchmark(option):
    build_every_part("synthetic_small", option)


@pytest.mark.parametrize(("experiment", "option"), [
    ("refer_dance", "perturbation/no_masking"), ("refer_kitti_v2", "window/t8")])
def test_some_ablations_of_the_published_recipes(experiment, option):
    build_every_part(experiment, option)


def test_the_baseline_takes_crops_of_the_frames_size_with_an_encoder_of_one_size():
    assert build_every_part("refer_kitti_v2", "components/ikun").model.crop_size == (224, 672)
    assert build_every_part("synthetic_small", "components/ikun").model.crop_size == (128, 128)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["refer_kitti", "refer_kitti_v2", "refer_dance", "lamot"])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_part_of_an_ablation_is_built_with_the_published_recipes(option, experiment):
    build_every_part(experiment, option)


@pytest.mark.parametrize(("experiment", "span"), [("synthetic_small", 6), ("refer_kitti_v2", 8), ("refer_dance", 25)])
def test_whatever_masks_takes_the_experiments_span(experiment, span):
    for option in PERTURBATIONS:
        masking = composed(experiment, option).perturbation.masking
        assert masking.get("span", span) == span
        assert ("span" in masking) == masking._target_.endswith("SegmentMasking")


def test_the_baselines_loss_is_on_its_cosine():
    cfg = composed("synthetic_tiny", "components/ikun")
    assert cfg.model.crop_size is None and list(cfg.model.image_size) == [64, 192]
    assert cfg.loss.match._target_.endswith("CosineFocalLoss")
