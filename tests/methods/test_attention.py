"""The attention block and the residual MLP against a direct form: concatenate the tokens, mask, one softmax."""

import math

import plain_model
import pytest
import torch
from tiny_model import randomise

from flexhook.methods.two_stage.layers import AttentionBlock, OwnTokens, ResidualMLP, SharedTokens

HEADS, D = 4, 16


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = AttentionBlock(D, HEADS)
    randomise(block)
    return block.double()


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a, b, tolerance=1e-10):
    assert a.shape == b.shape
    assert (a - b).abs().max() < tolerance


def direct(block, query, own, own_mask, other, shared, position):
    """Per window and query one dense sequence: its own tokens, its other tokens, the shared ones."""
    w = plain_model.weights_of(block)
    out = torch.empty(own.shape[0], own.shape[1], D, dtype=torch.float64)
    for b in range(out.shape[0]):
        for n in range(out.shape[1]):
            tokens = torch.cat([own[b, n], other[b, n], shared[b]])
            at = torch.cat([position, torch.zeros(len(tokens) - len(position), D, dtype=torch.float64)])
            allowed = torch.ones(1, len(tokens), dtype=torch.bool)
            allowed[0, : own.shape[2]] = own_mask[b, n]
            q = query[b, n if query.shape[1] > 1 else 0][None]
            out[b, n] = plain_model.attention_block(w, HEADS, q, tokens, at, allowed)[0]
    return out


@pytest.mark.parametrize("queries", [1, 3])  # one query that all expressions share, or one each
def test_token_sets_share_one_softmax(block, queries):
    own, other, shared = random(2, 3, 5, D, seed=1), random(2, 3, 4, D, seed=2), random(2, 6, D, seed=3)
    position, query = random(5, D, seed=4), random(2, queries, D, seed=5).requires_grad_()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool).expand(2, 3, 5)
    sets = [
        OwnTokens(*block.keys_values(own, position), mask),
        SharedTokens(*block.keys_values(shared)),
        OwnTokens(*block.keys_values(other)),
    ]
    out = block(query, sets)
    expected = direct(block, query, own, mask, other, shared, position)
    close(out, expected)
    wanted = [query, *block.parameters()]
    upstream = random(*out.shape, seed=6)
    for a, b in zip(
        torch.autograd.grad((out * upstream).sum(), wanted), torch.autograd.grad((expected * upstream).sum(), wanted),
        strict=True,
    ):  # fmt: skip
        close(a, b)


def test_one_set_alone(block):
    tokens, position, query = random(2, 5, D, seed=1), random(5, D, seed=2), random(2, 3, D, seed=3)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    out = block(query, [SharedTokens(*block.keys_values(tokens, position), mask)])
    for b in range(2):
        w = plain_model.weights_of(block)
        expected = plain_model.attention_block(w, HEADS, query[b], tokens[b], position, mask[b].expand(3, 5))
        close(out[b], expected)


@pytest.mark.parametrize("queries", [1, 4])
def test_unmapped_tokens_equal_mapped_ones(block, queries):
    tokens, query = random(3, 7, D, seed=1), random(3, queries, D, seed=2)
    close(block(query, [block.unmapped(tokens)]), block(query, [SharedTokens(*block.keys_values(tokens))]), 1e-12)


def test_unmapped_tokens_merge_with_other_sets_and_carry_the_same_gradients(block):
    tokens, own, query = random(2, 7, D, seed=1).requires_grad_(), random(2, 3, 5, D, seed=3), random(2, 1, D, seed=2)
    wanted = [tokens, *block.parameters()]
    outs = [
        block(query, [OwnTokens(*block.keys_values(own)), trajectory])
        for trajectory in (block.unmapped(tokens), SharedTokens(*block.keys_values(tokens)))
    ]
    close(*outs, 1e-12)
    upstream = random(2, 3, D, seed=4)
    for a, b in zip(*(torch.autograd.grad((o * upstream).sum(), wanted) for o in outs), strict=True):
        close(a, b, 1e-11)


def test_own_tokens_given_once_serve_all_windows(block):
    own, query = random(1, 3, 5, D, seed=1), random(2, 3, D, seed=2)
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)[None]
    repeated = OwnTokens(*block.keys_values(own.expand(2, 3, 5, D)), mask.expand(2, 3, 5))
    close(block(query, [OwnTokens(*block.keys_values(own), mask)]), block(query, [repeated]), 1e-12)


@pytest.mark.parametrize("kind", [OwnTokens, SharedTokens])
def test_masked_tokens_have_no_influence(block, kind):
    shape = (2, 3, 5) if kind is OwnTokens else (2, 5)
    tokens, query = random(*shape, D, seed=1), random(2, 3, D, seed=2)
    mask = torch.ones(shape, dtype=torch.bool)
    mask[..., 3:] = False
    out = block(query, [kind(*block.keys_values(tokens), mask)])
    tokens[..., 3:, :] = 1e3 * random(*shape[:-1], 2, D, seed=3)
    close(block(query, [kind(*block.keys_values(tokens), mask)]), out, 1e-14)
    close(block(query, [kind(*block.keys_values(tokens[..., :3, :]))]), out, 1e-12)


def test_position_vectors_reach_keys_and_not_values(block):
    """One token gets the weight 1 whatever its key, so that its position may not show; two tokens are weighed by it."""
    tokens, position, query = random(1, 2, D, seed=1), 3 * random(2, D, seed=2), random(1, 1, D, seed=3)

    def attend(k, at):
        return block(query, [SharedTokens(*block.keys_values(tokens[:, :k], None if at is None else at[:k]))])

    close(attend(1, position), attend(1, None), 1e-14)
    assert (attend(2, position) - attend(2, None)).abs().max() > 1e-2


def test_weights_by_hand():
    """One head of width 4, identity maps: scores q . k / sqrt(4) = (2, 2/3, -2), before a feed-forward part of zero."""
    block = AttentionBlock(4, 1).double()
    with torch.no_grad():
        for name in ("wq", "wk", "wv", "wo"):
            getattr(block, name).weight.copy_(torch.eye(4))
        block.linear_2.weight.zero_()
    query = torch.tensor([[[1.0, 1, -1, -1]]], dtype=torch.float64)  # its own LayerNorm: mean 0, variance 1
    tokens = torch.tensor([[[1.0, 1, -1, -1], [1, 0, 0, -1], [-1, -1, 1, 1]]], dtype=torch.float64)
    block.q_norm.eps = block.kv_norm.eps = 0.0
    out = block(query, [SharedTokens(*block.keys_values(tokens))])
    middle = [math.sqrt(2), 0, 0, -math.sqrt(2)]  # (1, 0, 0, -1) has variance 1/2
    score = [4 / 2, 2 * math.sqrt(2) / 2, -4 / 2]
    e = [math.exp(v) for v in score]
    a, b, c = (v / sum(e) for v in e)
    expected = [q + a * q + b * m - c * q for q, m in zip([1, 1, -1, -1], middle, strict=True)]
    close(out, torch.tensor([[expected]], dtype=torch.float64), 1e-12)


def test_parameters_are_those_of_the_specification(block):
    """Four bias-free maps, a bias-free MLP D -> 4D -> D, three LayerNorms of eps 1e-5."""
    shapes = {name: tuple(p.shape) for name, p in block.named_parameters() if "norm" not in name}
    square = {f"{m}.weight": (D, D) for m in ("wq", "wk", "wv", "wo")}
    assert shapes == square | {"linear_1.weight": (4 * D, D), "linear_2.weight": (D, 4 * D)}
    assert [norm.eps for norm in (block.q_norm, block.kv_norm, block.ffn_norm)] == [1e-5] * 3


def test_width_must_be_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="18 is not a multiple of 4"):
        AttentionBlock(18, 4)


def test_residual_mlp_by_hand():
    """y = W1 x + b1 = (1, -2); out = W2 (GELU(y) + x) + b2, GELU(1) = 0.841345, GELU(-2) = -0.045500."""
    mlp = ResidualMLP(2, 1).double()
    with torch.no_grad():
        mlp.fc1.weight.copy_(torch.tensor([[1.0, 0.5], [-1, 0]]))
        mlp.fc1.bias.copy_(torch.tensor([-2.0, 0]))
        mlp.fc2.weight.copy_(torch.tensor([[1.0, 10]]))
        mlp.fc2.bias.fill_(0.5)
    out = mlp(torch.tensor([2.0, 2.0], dtype=torch.float64))
    expected = (0.8413447460685429 + 2) + 10 * (-0.0455002638963584 + 2) + 0.5
    assert abs(out.item() - expected) < 1e-12
