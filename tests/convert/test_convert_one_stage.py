"""Published checkpoints of TransRMOT and TempRMOT: every tensor finds its place, nothing in the file is executed."""

import argparse
import os
import subprocess

import pytest
import torch
from toy_world import run_here

from flexhook.convert.one_stage import OneStageArchitecture, to_published
from flexhook.encoders.text import TransformersTextEncoder
from flexhook.encoders.visual import TimmVisualEncoder
from flexhook.training.build import load_method

TEXT = {"model_type": "roberta", "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 40, "type_vocab_size": 1, "pad_token_id": 1}  # fmt: skip
SIZES = {"width": 32, "heads": 8, "encoder_layers": 1, "decoder_layers": 2, "ffn": 64, "num_queries": 9}


def published(temporal=None, track_attention=False):
    """A network and its tensors as the authors' programs would save them."""
    torch.manual_seed(3)
    visual = TimmVisualEncoder("resnet18", (64, 96), strides=(8, 16, 32))
    text = TransformersTextEncoder("roberta", 20, pretrained=False, config=TEXT)
    sizes = SIZES | {"track_attention": track_attention}
    network = OneStageArchitecture(sizes, visual.channels, text.width, temporal).build(visual, text)
    state = {k: v.clone() for k, v in to_published(network).state.items()}
    state["text_encoder.pooler.dense.weight"] = torch.zeros(32, 32)
    state["text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    return network, state


def save(path, state, **others):
    torch.save({"model": state, "epoch": 99, "args": argparse.Namespace(lr=1e-4, dataset_file="e2e"), **others}, path)
    return path


MEMORY = {"temporal_layers": 1, "temporal_ffn": 48}


@pytest.mark.parametrize(("temporal", "extra"), [(None, False), (None, True), (MEMORY, True)],
                         ids=["transrmot", "extra track attention", "temprmot"])
def test_every_tensor_is_accounted_for(tmp_path, temporal, extra):
    network, state = published(temporal, extra)
    assert any("update_attn" in k for k in state) == extra
    file = save(tmp_path / "checkpoint.pth", state)
    status, said = run_here(["convert", file], tmp_path)
    assert status == 0, said
    stored = sum(not k.startswith(("transformer.decoder.bbox_embed.", "text_encoder.pooler.")) for k in state) - 1
    assert f"{stored} tensors mapped, none missing, none left over" in said
    assert "12 copies of the box heads" in said and "text_encoder.pooler.dense.weight" in said
    assert "attention heads are not in the file: 8 assumed" in said
    method, config = load_method(tmp_path / "checkpoint.ckpt")
    assert method.name == config.method.name == ("temprmot" if temporal else "transrmot")
    for name, tensor in method.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    back = tmp_path / "back.pth"
    status, said = run_here(["convert", "--to-published", tmp_path / "checkpoint.ckpt", "--out", back], tmp_path)
    assert status == 0, said
    back = torch.load(back, weights_only=True)
    assert back["args"] == {"lr": 1e-4, "dataset_file": "e2e"} and back["epoch"] == 99
    assert {k for k in state if k not in back["model"]} == {"text_encoder.pooler.dense.weight",
                                                           "text_encoder.embeddings.position_ids"}
    assert all(torch.equal(v, state[k]) for k, v in back["model"].items())


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: s.pop("track_embed.norm3.bias"), "1 tensors are missing: track_embed.norm3.bias"),
    (lambda s: s.update(memory_bank=torch.zeros(2)), "1 tensors are left over: memory_bank"),
    (lambda s: s.update({"class_embed.0.bias": torch.zeros(91)}), "1 tensors are of the wrong shape: class_embed.0.bias (91,)"),
    (lambda s: s.update({"bbox_embed.1.layers.0.bias": torch.ones(32)}), "copies that differ from the box heads"),
    (lambda s: s.pop("transformer.level_embed"), "transformer.level_embed is missing"),
])  # fmt: skip
def test_a_tensor_without_a_place_stops_the_conversion(tmp_path, change, words):
    _, state = published()
    change(state)
    status, said = run_here(["convert", save(tmp_path / "c.pth", state)], tmp_path)
    assert status == 2 and words in said and "c.pth" in said, said
    assert not (tmp_path / "c.ckpt").exists()


class Harmful:
    def __reduce__(self):
        return subprocess.getoutput, ("touch pwned",)


def test_a_file_with_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, state = published()
    for others in ({"optimizer": Harmful()}, {"args": argparse.Namespace(path=Harmful())}):
        status, said = run_here(["convert", save(tmp_path / "c.pth", state, **others)], tmp_path)
        assert status == 2 and "it names commands.getoutput" in said, said
    assert not os.path.exists("pwned")
