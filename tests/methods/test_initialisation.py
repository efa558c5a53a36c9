"""How the parts start: the published standard deviations at the published width."""

import math

import pytest
import torch

from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
from flexhook.methods.flexhook.hook import ConditioningEnhancement
from flexhook.methods.flexhook.temporal import TemporalIntegration

WIDTH, CHANNELS = 768, (96, 192)


def uniform(fan_in):
    """Standard deviation of nn.Linear's default, uniform in +-1/sqrt(fan_in)."""
    return 1 / math.sqrt(3 * fan_in)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    return (
        PairwiseCorrespondenceDecoder(WIDTH, 2),
        ConditioningEnhancement(CHANNELS, WIDTH, 10),
        TemporalIntegration(CHANNELS, WIDTH, [(16, 48), (8, 24)]),
    )


def test_attention_matrices_of_every_block_are_xavier_uniform(parts):
    """Xavier at D = 768: std sqrt(2 / (D + D)) = 0.0361 and no value beyond sqrt(6 / (D + D)); nn.Linear's is 0.0208."""
    decoder, conditioning, _ = parts
    blocks = [*decoder.blocks, *conditioning.blocks]
    assert len(blocks) == 4
    for block in blocks:
        for matrix in (block.wq, block.wk, block.wv, block.wo):
            assert matrix.weight.std().item() == pytest.approx(0.0361, rel=0.01)
            assert matrix.weight.abs().max().item() <= math.sqrt(6 / (2 * WIDTH))


def test_everything_else_keeps_the_defaults_of_pytorch(parts):
    decoder, conditioning, temporal = parts
    for block in [*decoder.blocks, *conditioning.blocks]:
        assert block.linear_1.weight.std().item() == pytest.approx(uniform(WIDTH), rel=0.01)
        assert block.linear_2.weight.std().item() == pytest.approx(uniform(4 * WIDTH), rel=0.01)
        for norm in (block.q_norm, block.kv_norm, block.ffn_norm):
            assert (norm.weight == 1).all() and (norm.bias == 0).all()
    for head in decoder.heads:
        assert head.fc1.weight.std().item() == pytest.approx(uniform(WIDTH), rel=0.01)
    for c, coordinate, mlp in zip(CHANNELS, conditioning.coordinate, conditioning.mlp, strict=True):
        assert coordinate.weight.std().item() == pytest.approx(uniform(WIDTH), rel=0.06)
        assert mlp.fc1.weight.std().item() == pytest.approx(uniform(c), rel=0.02)
        assert mlp.fc2.weight.std().item() == pytest.approx(uniform(c), rel=0.02)
    for c, mlp in zip(CHANNELS, temporal.mlp, strict=True):
        assert mlp.fc1.weight.std().item() == pytest.approx(uniform(4 * (c + 2)), rel=0.02)
    assert decoder.box_embedding.std().item() == pytest.approx(1, rel=0.03)
    assert conditioning.queries.std().item() == pytest.approx(0.02, rel=0.03)
    assert temporal.reduction[0][0].weight.std().item() == pytest.approx(uniform(9 * WIDTH), rel=0.01)
    assert temporal.reduction[0][1].weight.std().item() == pytest.approx(uniform(WIDTH), rel=0.01)
