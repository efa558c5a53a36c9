"""CLIP's text tower against transformers' own."""

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from flexhook.encoders.clip_text import ClipTextEncoder
from flexhook.errors import InputError

SIZES = {"width": 32, "layers": 2, "heads": 4, "projection": 48, "vocabulary": 100}


def openai_state(theirs):
    """Transformers' tensors under OpenAI's names."""
    state = {}
    for name, tensor in theirs.text_model.state_dict().items():
        name = name.removeprefix("embeddings.").removeprefix("encoder.")
        name = name.replace("position_embedding.weight", "positional_embedding").replace("layers.", "transformer.resblocks.")
        name = name.replace("self_attn.", "attn.").replace("layer_norm", "ln_").replace("mlp.fc1", "mlp.c_fc")
        state[name.replace("mlp.fc2", "mlp.c_proj").replace("final_ln_", "ln_final")] = tensor
    for i in range(SIZES["layers"]):
        for kind in ("weight", "bias"):
            parts = [state.pop(f"transformer.resblocks.{i}.attn.{p}_proj.{kind}") for p in "qkv"]
            state[f"transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat(parts)
    state["text_projection"] = theirs.text_projection.weight.T
    return state


@pytest.fixture(scope="module")
def towers():
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=100, hidden_size=32, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, projection_dim=48, hidden_act="quick_gelu", bos_token_id=98, eos_token_id=99,
    )  # fmt: skip
    theirs = CLIPTextModelWithProjection(config).double().eval()
    ours = ClipTextEncoder(**SIZES, tokenizer="hashing").double().eval()
    ours.load_state_dict(openai_state(theirs))
    return ours, theirs


def test_first_positions_of_the_full_context_projected(towers):
    ours, theirs = towers
    ids = torch.randint(1, 98, (3, 77))
    ids[:, 0], ids[0, 7:], ids[0, 6], ids[1:, -1] = 98, 0, 99, 99
    with torch.no_grad():
        hidden = theirs.text_model(input_ids=ids).last_hidden_state
        expected = (hidden @ theirs.text_projection.weight.T)[:, :25]
        tokens = ours(ids[:, :25], torch.ones(3, 25, dtype=torch.bool))
    assert tokens.shape == (3, 25, 48)
    assert torch.allclose(tokens, expected, atol=1e-12)


def test_tokens_do_not_depend_on_padding(towers):
    ours, _ = towers
    ids, mask = ours.tokenize(["cars turning left"])
    assert mask.sum() == 5
    with torch.no_grad():
        assert torch.allclose(ours(ids, mask)[:, :5], ours(ids[:, :5], mask[:, :5]), atol=1e-12)


def test_long_sentence_keeps_its_first_tokens_and_loses_the_end_token(monkeypatch):
    encoder = ClipTextEncoder(**SIZES, tokenizer="hashing")
    tokenizer = encoder._padded_tokens.tokenizer
    with pytest.warns(UserWarning, match="has 42 tokens and is cut to 25"):
        ids, mask = encoder.tokenize(["car " * 40])
    assert mask.all()
    assert ids[0].tolist()[:24] == tokenizer("car " * 40)[:24]


def test_weights_come_from_a_file_of_the_whole_clip(tmp_path, towers):
    state = {k: v.float() for k, v in towers[0].state_dict().items()}
    torch.save(state | {"visual.conv1.weight": torch.zeros(1), "logit_scale": torch.zeros(())}, tmp_path / "clip.pt")
    encoder = ClipTextEncoder(**SIZES, weights=tmp_path / "clip.pt")
    assert all(torch.equal(v, state[k]) for k, v in encoder.state_dict().items())
    del state["ln_final.weight"]
    torch.save(state, tmp_path / "clip.pt")
    with pytest.raises(InputError, match=r"1 tensors .* such as ln_final\.weight"):
        ClipTextEncoder(**SIZES, weights=tmp_path / "clip.pt")


def test_unreachable_hub_is_told(no_hub):
    with pytest.raises(
        InputError, match=r"Fetch open_clip_model\.safetensors from .*timm/resnet50_clip\.openai.*text\.weights"
    ):
        ClipTextEncoder(**SIZES, pretrained="timm/resnet50_clip.openai")


def test_every_parameter_is_used():
    encoder = ClipTextEncoder(**SIZES, tokenizer="hashing")
    ids, mask = encoder.tokenize(["cars"])
    encoder(ids, mask).sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []
    with pytest.raises(InputError, match="3 to 77"):
        ClipTextEncoder(**SIZES, length=78)
