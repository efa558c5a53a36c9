"""Losses and the reference point regulariser: numbers worked out by hand, loops over groups and pairs."""

import math

import plain_model
import pytest
import torch

from flexhook.methods.two_stage.losses import (
    EntropyWeightedCrossEntropy,
    FocalLoss,
    ReferencePointRegulariser,
    WeightedCrossEntropy,
    spread,
)


def logits_of(*probabilities):
    """(1, 1, N, 2) logits (no, yes) whose probability of yes is as given."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([(1 - p).log() + 3, p.log() + 3], -1)[None, None]  # a constant added to both changes nothing


def entropy(p):
    return -(p * math.log(p) + (1 - p) * math.log(1 - p))


def test_plain_weighted_cross_entropy_by_hand():
    """Positive with p = 0.8, negative with p = 0.25; not divided by the sum of the weights."""
    loss = WeightedCrossEntropy(0.7)(logits_of(0.8, 0.25), torch.tensor([[1, 0]]))
    assert loss.item() == pytest.approx((-0.7 * math.log(0.8) - 0.3 * math.log(0.75)) / 2, abs=1e-14)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("weight", [0.7, 0.6])
def test_entropy_weighted_loss_by_hand(gamma, weight):
    loss = EntropyWeightedCrossEntropy(weight, gamma)(logits_of(0.8, 0.25), torch.tensor([[1, 0]]))
    expected = -weight * entropy(0.8) ** gamma * math.log(0.8) - (1 - weight) * entropy(0.25) ** gamma * math.log(0.75)
    assert loss.item() == pytest.approx(expected / 2, abs=1e-14)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("weight", [0.7, 0.6])
def test_focal_loss_by_hand(gamma, weight):
    """p_t is the probability of the true answer: 0.8 and 0.75."""
    loss = FocalLoss(weight, gamma)(logits_of(0.8, 0.25), torch.tensor([[1, 0]]))
    expected = -weight * 0.2**gamma * math.log(0.8) - (1 - weight) * 0.25**gamma * math.log(0.75)
    assert loss.item() == pytest.approx(expected / 2, abs=1e-14)


def test_defaults_are_the_published_ones():
    for kind in (EntropyWeightedCrossEntropy, FocalLoss):
        assert (kind().positive_weight, kind().gamma) == (0.7, 1.0)
    assert ReferencePointRegulariser().weight == 0.01


def test_certain_answers_have_the_natural_logarithm_of_two_as_the_largest_factor():
    factor = EntropyWeightedCrossEntropy().factor(torch.tensor([0.5, 0.5]).log(), torch.tensor(1))
    assert factor.item() == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("kind", [WeightedCrossEntropy, EntropyWeightedCrossEntropy, FocalLoss])
def test_mean_runs_over_windows_scales_and_expressions(kind):
    logits = torch.randn(3, 4, 5, 2, dtype=torch.float64)
    labels = torch.randint(2, (3, 5))
    loss = kind(0.6, 2.0)
    each = [loss(logits[b : b + 1, s : s + 1, n : n + 1], labels[b : b + 1, n : n + 1])
            for b in range(3) for s in range(4) for n in range(5)]
    assert loss(logits, labels).item() == pytest.approx(sum(each).item() / 60, abs=1e-14)


@pytest.mark.parametrize("kind", [EntropyWeightedCrossEntropy, FocalLoss])
def test_factor_carries_no_gradient(kind):
    """d/dlogits of factor * w * CE with the factor held: factor * w * (p - target)."""
    logits = logits_of(0.8, 0.25).requires_grad_()
    kind(0.7, 1.0)(logits, torch.tensor([[1, 0]])).backward()
    factors = (entropy(0.8), entropy(0.25)) if kind is EntropyWeightedCrossEntropy else (0.2, 0.25)
    expected = [[0.7 * factors[0] * 0.2 / 2, -0.7 * factors[0] * 0.2 / 2],
                [-0.3 * factors[1] * 0.25 / 2, 0.3 * factors[1] * 0.25 / 2]]
    assert torch.allclose(logits.grad[0, 0], torch.tensor(expected, dtype=torch.float64), atol=1e-14)


@pytest.mark.parametrize("kind", [EntropyWeightedCrossEntropy, FocalLoss])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_certainty_beyond_the_reach_of_float32_is_finite(kind, gamma):
    logits = torch.tensor([[[[-200.0, 200], [200, -200], [1e4, -1e4]]]], requires_grad=True)
    loss = kind(0.7, gamma)(logits, torch.tensor([[1, 0, 1]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_pairs_that_are_not_to_be_judged_leave_the_mean():
    logits = torch.randn(2, 3, 4, 2, dtype=torch.float64)
    labels = torch.tensor([[1, 0, -1, -1], [0, 1, 1, -1]])
    loss = EntropyWeightedCrossEntropy()
    parts = [loss(logits[0:1, :, :2], labels[0:1, :2]) * 2, loss(logits[1:2, :, :3], labels[1:2, :3]) * 3]
    assert loss(logits, labels).item() == pytest.approx(sum(parts).item() / 5, abs=1e-14)
    assert loss(logits, torch.full((2, 4), -1)).item() == 0


def test_spread_of_two_points_by_hand():
    """n = 2: tau^2 = 0.64 * 1.8^2 / 2 = 1.0368; d^2 = 0.3^2 + 0.4^2; border distances 0.05 and 0.4."""
    points = torch.tensor([[0.95, 0.2], [0.65, 0.6]], dtype=torch.float64)
    softplus = [math.log1p(math.exp(30 * (0.1 - d))) for d in (0.05, 0.35)]
    expected = math.exp(-0.25 / 1.0368) + 0.5 * sum(softplus) / 2
    assert spread(points).item() == pytest.approx(expected, abs=1e-12)


def test_single_point_has_no_repulsion():
    points = torch.tensor([[0.95, 0.2]], dtype=torch.float64)
    assert spread(points).item() == pytest.approx(0.5 * math.log1p(math.exp(30 * 0.05)), abs=1e-12)


@pytest.mark.parametrize(
    ("windows", "sentences", "points"),
    [(2, 3, 4), (3, 1, 4), (2, 3, 1), (1, 1, 1)],
    ids=["several", "one-expression", "one-point", "one-of-all"],
)
def test_regulariser_equals_loops_over_groups_and_pairs(windows, sentences, points):
    torch.manual_seed(0)
    scales = [(2 * torch.rand(windows, sentences, points, 2, dtype=torch.float64) - 1).requires_grad_()
              for _ in range(3)]
    value = ReferencePointRegulariser(0.01)(scales)
    assert value.item() == pytest.approx(plain_model.regulariser([s.detach() for s in scales], 0.01), abs=1e-14)
    value.backward()
    assert all(torch.isfinite(s.grad).all() and s.grad.abs().max() > 0 for s in scales)


def test_points_that_coincide_have_a_finite_gradient():
    points = torch.zeros(1, 2, 3, 2, requires_grad=True)
    ReferencePointRegulariser()([points]).backward()
    assert torch.isfinite(points.grad).all()


def test_points_of_different_windows_do_not_repel():
    """Two windows of one expression each: their points' distance does not count, wherever they lie."""
    near, far = torch.zeros(2, 1, 1, 2), torch.tensor([[[[0.3, 0.0]]], [[[-0.3, 0.0]]]])
    regulariser = ReferencePointRegulariser(1.0)
    edge = lambda x: math.log1p(math.exp(30 * (0.1 - (1 - x)))) / 2  # noqa: E731
    assert regulariser([near]).item() == pytest.approx(edge(0.0), abs=1e-7)
    assert regulariser([far]).item() == pytest.approx(edge(0.3), abs=1e-7)


def test_points_of_a_windows_expressions_repel():
    together = torch.zeros(1, 2, 1, 2, dtype=torch.float64)
    apart = torch.tensor([[[[0.5, 0.0]], [[-0.5, 0.0]]]], dtype=torch.float64)
    difference = ReferencePointRegulariser(1.0)([together]) - ReferencePointRegulariser(1.0)([apart])
    edges = math.log1p(math.exp(30 * (0.1 - 0.5))) - math.log1p(math.exp(30 * (0.1 - 1)))
    assert difference.item() == pytest.approx((1 - math.exp(-1 / 1.0368)) / 2 - edges / 2, abs=1e-12)


def test_loss_is_computed_in_float32_under_autocast():
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 2, 5, 2), torch.randint(2, (3, 5))
    loss = EntropyWeightedCrossEntropy()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(logits.bfloat16(), labels)
    assert mixed.dtype == torch.float32
    assert mixed == loss(logits.bfloat16().float(), labels)
