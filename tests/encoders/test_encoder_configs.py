"""Every encoder of the paper is one config name."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
RANDOM = {"pretrained": False}


def build(group, name, **changes):
    cfg = OmegaConf.merge(OmegaConf.load(CONF / group / f"{name}.yaml"), changes)
    root = OmegaConf.create({"image_size": [64, 192], group: cfg})
    OmegaConf.resolve(root)
    return instantiate(root[group])


@pytest.mark.parametrize(
    ("name", "strides", "channels", "millions"),
    [
        ("rope_swin_tiny", (4, 8, 16, 32), (96, 192, 384, 768), 27.6),
        ("resnet18", (4, 8, 16, 32), (64, 128, 256, 512), 11.2),
        ("resnet34", (4, 8, 16, 32), (64, 128, 256, 512), 21.3),
        ("clip_rn50", (4, 8, 16, 32), (256, 512, 1024, 2048), 23.5),
        ("rope_deit_small", (16,), (384,), 21.6),
        ("efficientnet_lite0", (4, 8, 16, 32), (24, 40, 112, 320), 3.0),
        pytest.param("rope_swin_small", (4, 8, 16, 32), (96, 192, 384, 768), 48.9, marks=pytest.mark.slow),
        pytest.param("rope_swin_base", (4, 8, 16, 32), (128, 256, 512, 1024), 86.8, marks=pytest.mark.slow),
        pytest.param("swin_tiny", (4, 8, 16, 32), (96, 192, 384, 768), 27.5, marks=pytest.mark.slow),
        pytest.param("resnet50", (4, 8, 16, 32), (256, 512, 1024, 2048), 23.5, marks=pytest.mark.slow),
    ],
)
def test_visual_encoder(name, strides, channels, millions):
    encoder = build("visual", name, **RANDOM)
    assert encoder.strides == strides
    assert encoder.channels == channels
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    with torch.no_grad():
        maps = encoder.eval()(torch.zeros(1, 3, 64, 192))
    assert [m.shape[1:] for m in maps] == [(c, 64 // s, 192 // s) for c, s in zip(channels, strides, strict=True)]


@pytest.mark.parametrize(
    ("name", "width", "millions"),
    [
        ("minilm", 384, 22.6),
        ("clip", 1024, 63.7),
        pytest.param("roberta", 768, 124.1, marks=pytest.mark.slow),
        pytest.param("bert", 768, 108.9, marks=pytest.mark.slow),
    ],
)
def test_text_encoder(name, width, millions):
    changes = RANDOM | ({} if name == "minilm" else {"tokenizer": "hashing"})
    encoder = build("text", name, **changes)
    assert encoder.width == width
    assert encoder.length == 25
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    ids, mask = encoder.tokenize(["cars turning left"])
    with torch.no_grad():
        assert encoder.eval()(ids, mask).shape == (1, 25, width)
