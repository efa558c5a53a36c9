"""The architecture is read off a published checkpoint's shapes."""

from dataclasses import replace

import pytest
import torch

from flexhook.convert.architecture import Architecture, infer
from flexhook.convert.published import published_names
from flexhook.errors import InputError

ROBERTA = {
    "type": "roberta", "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
BERT = {
    "type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102,
}  # fmt: skip
CLIP = {"type": "clip", "width": 512, "layers": 12, "heads": 8, "projection": 1024, "vocabulary": 49408, "context": 77}


def rope_swin(embed_dim, depths, num_heads):
    sizes = {"embed_dim": embed_dim, "depths": depths, "num_heads": num_heads}
    return {"type": "rope_swin", **sizes, "drop_path": 0.1}


PAIRS = {
    "rope_swin_tiny+roberta": Architecture(rope_swin(96, [2, 2, 6, 2], [3, 6, 12, 24]), ROBERTA),
    "rope_swin_base+bert": Architecture(rope_swin(128, [2, 2, 18, 2], [4, 8, 16, 32]), BERT, image_size=(160, 480)),
    "resnet18+bert": Architecture({"type": "resnet18"}, BERT, window_frames=6),
    "resnet34+roberta": Architecture({"type": "resnet34"}, ROBERTA, num_reference_points=0),
    "resnet50+roberta": Architecture({"type": "resnet50"}, ROBERTA, text_length=30),
    "clip_rn50+clip": Architecture({"type": "clip_rn50"}, CLIP, num_reference_points=4),
}


def shapes(architecture):
    """A published state dict without memory behind it."""
    with torch.device("meta"):
        model = architecture.build()
        extra = {"absolute_lang_pos_embed": 0, "conditional_pos_embed": 0, "init_embeds": 1}
        state = model.state_dict()
        names = published_names(model)
        return {t: state[o].unsqueeze(extra[t]) if t in extra else state[o] for o, t in names.items()}


@pytest.mark.parametrize("pair", PAIRS)
def test_published_pairs_are_recognised(pair):
    state = shapes(PAIRS[pair])
    found, notices = infer(state)
    assert found == PAIRS[pair]
    assert notices[0] == "attention heads of the decoder are not in the file: 8 assumed"
    assert {k: v.shape for k, v in shapes(found).items()} == {k: v.shape for k, v in state.items()}


def test_real_tokenizers_are_kept():
    assert PAIRS["resnet34+roberta"].text_config()["model"] == "roberta-base"
    assert PAIRS["resnet18+bert"].text_config()["model"] == "bert-base-uncased"


def test_unknown_checkpoints_are_refused():
    state = shapes(PAIRS["resnet18+bert"])
    with pytest.raises(InputError, match="backbone is none of the published ones"):
        infer({k: v for k, v in state.items() if not k.startswith("backbone.")})
    with pytest.raises(InputError, match="text encoder is none of the published ones"):
        infer({k: v for k, v in state.items() if not k.startswith("text_encoder.")})
    with pytest.raises(InputError, match="1 tensors are missing: init_embeds"):
        infer({k: v for k, v in state.items() if k != "init_embeds"})


def test_sizes_no_model_can_have_are_told():
    architecture = PAIRS["resnet18+bert"]
    with pytest.raises(InputError, match="RoPE-Swin cannot take images of 100x300"):
        replace(architecture, visual=rope_swin(16, [1, 1], [1, 1]), image_size=(100, 300)).build()
    with pytest.raises(InputError, match="rope_mixed is False"):
        replace(architecture, visual={"type": "rope_swin", "rope_mixed": False}).build()
    with pytest.raises(InputError, match="no model has the described sizes"):
        replace(architecture, visual={"type": "rope_swin", "embed_dims": 3}).build()
    with pytest.raises(InputError, match="no model has the described sizes"):
        replace(architecture, attention_heads=7).build()
