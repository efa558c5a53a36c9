"""The encoders of the paper against the golden values."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flexhook.convert.encoder_names import derived_buffers, text_names, visual_names
from flexhook.encoders.rope_swin import RopeSwinEncoder
from flexhook.encoders.text import TransformersTextEncoder

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "tiny_rope_swin_roberta"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden values are not beside the checkout")


@pytest.fixture(scope="module")
def golden():
    read = {name: dict(np.load(GOLDEN / f"{name}.npz")) for name in ("inputs", "outputs")}
    config = json.loads((GOLDEN / "config.json").read_text())
    return config, load_file(GOLDEN / "state_dict.safetensors"), read["inputs"], read["outputs"]


def rope_swin(config, state):
    v = config["visual"]
    encoder = RopeSwinEncoder(config["image_size"], v["embed_dim"], v["depths"], v["num_heads"], drop_path=0).eval()
    encoder.load_state_dict({ours: state[f"backbone.{theirs}"] for ours, theirs in visual_names(encoder).items()})
    return encoder


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 5e-6)])
def test_rope_swin_maps(golden, dtype, tolerance):
    config, state, inputs, outputs = golden
    encoder = rope_swin(config, state).to(dtype)
    mean, std = (torch.tensor(v, dtype=dtype)[:, None, None] for v in (encoder.mean, encoder.std))
    images = torch.tensor(inputs["images_uint8"]).flatten(0, 1).permute(0, 3, 1, 2).to(dtype) / 255
    with torch.no_grad():
        maps = encoder((images - mean) / std)
    for s, m in enumerate(maps):
        for name, value in (
            ("mean", m.mean((0, 2, 3))),
            ("abs_mean", m.abs().mean((0, 2, 3))),
            ("corner", m[:2, :, :3, :5]),
        ):
            assert np.abs(value.numpy() - outputs[f"feature_{name}_{s}"]).max() < tolerance, (name, s)


def test_roberta_tokens(golden):
    config, state, inputs, outputs = golden
    values = dict(config["text"])
    values["model_type"] = values.pop("type")
    encoder = TransformersTextEncoder("golden", pretrained=False, config=values).double().eval()
    names = text_names(encoder)
    encoder.load_state_dict({ours: state[f"text_encoder.{theirs}"] for ours, theirs in names.items()})
    ids, mask = (torch.tensor(inputs[k]).flatten(0, 1) for k in ("input_ids", "attention_mask"))
    with torch.no_grad():
        tokens = encoder(ids, mask.bool()).numpy()
    assert np.abs(tokens - outputs["text_tokens"].reshape(tokens.shape)).max() < 1e-9


def test_derived_buffers_are_the_published_ones(golden):
    config, state, _, _ = golden
    derived = derived_buffers(rope_swin(config, state))
    suffixes = ("attn_mask", "rope_t_x", "rope_t_y")
    assert set(derived) == {k.removeprefix("backbone.") for k in state if k.endswith(suffixes)}
    assert all(torch.equal(v, state[f"backbone.{k}"]) for k, v in derived.items())
