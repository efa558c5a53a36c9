"""Each tensor of a published checkpoint in turn is missing or of another shape: never a traceback, never a silent guess."""

import pytest
import torch

from flexhook.convert.architecture import Architecture
from flexhook.convert.checkpoint import Published, convert
from flexhook.convert.published import to_published
from flexhook.errors import InputError

SWIN = {"type": "rope_swin", "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "drop_path": 0.1}
ROBERTA = {
    "type": "roberta", "vocab_size": 40, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1,
    "intermediate_size": 16, "max_position_embeddings": 30, "type_vocab_size": 1,
}  # fmt: skip
CLIP = {"type": "clip", "width": 64, "layers": 1, "heads": 1, "projection": 16, "vocabulary": 40, "context": 30}
FREE = ("word_embeddings.weight", "token_embedding.weight", "position_embeddings.weight", "positional_embedding",
        "token_type_embeddings.weight")  # numbers of rows that nothing else tells
DERIVED = ("attn_mask", "rope_t_x", "rope_t_y")


@pytest.fixture(scope="module", params=[ROBERTA, CLIP], ids=["roberta", "clip"])
def state(request):
    model = Architecture(SWIN, request.param, image_size=(64, 192), window_frames=2, num_reference_points=3).build()
    return to_published(model, model.state_dict()).state


def test_the_whole_one_is_recognised(state):
    architecture, model, mapped = convert(Published(state, {}), "a.pth")
    assert (architecture.window_frames, architecture.num_reference_points, architecture.image_size) == (2, 3, (64, 192))
    assert all(torch.equal(mapped.state[k].float(), v) for k, v in model.state_dict().items() if "text_position" in k)
    assert len(mapped.pairs) + sum(k.endswith(DERIVED) for k in state) == len(state)


def test_a_missing_one_is_named(state):
    for name in state:
        rest = {k: v for k, v in state.items() if k != name}
        if name.endswith(DERIVED):
            convert(Published(rest, {}), "a.pth")
            continue
        with pytest.raises(InputError, match="missing") as error:
            convert(Published(rest, {}), "a.pth")
        assert name in str(error.value)


def test_a_misshapen_one_is_refused(state):
    """One dimension too many, twice as many rows, no rows: the tensors in turn."""
    changes = (lambda t: t[None], lambda t: torch.cat([t, t]), lambda t: t[:0])
    for k, (name, tensor) in enumerate(state.items()):
        change = changes[2 * (k % 2) if name.endswith(FREE) else k % 3]
        with pytest.raises(InputError):
            convert(Published(state | {name: change(tensor)}, {}), "a.pth")


def test_one_left_over_is_named(state):
    for name in ("head.2.fc1.weight", "backbone.norm.weight", "text_encoder.pooler.dense.weight", "optimizer"):
        with pytest.raises(InputError, match=f"left over.*{name}"):
            convert(Published(state | {name: torch.ones(2)}, {}), "a.pth")


@pytest.mark.parametrize("name", ["init_embeds", "absolute_lang_pos_embed", "conditional_pos_embed"])
def test_a_lacking_dimension_of_size_one_is_refused_with_given_sizes_too(state, name):
    architecture, _, _ = convert(Published(state, {}), "a.pth")
    flat = state[name].squeeze()
    with pytest.raises(InputError, match=f"wrong shape: {name}"):
        convert(Published(state | {name: flat}, {}), "a.pth", architecture)
