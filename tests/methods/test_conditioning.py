"""Conditioning enhancement: reference points from the sentence alone, reference tokens from the window's frames."""

import plain_model
import pytest
import torch
from tiny_model import random_batch, randomise, tiny_flexhook

from flexhook.methods.flexhook.hook import CHook, ConditioningEnhancement
from flexhook.methods.two_stage.frame_maps import FrameMaps

D, M, CHANNELS = 16, 3, (4, 6)


@pytest.fixture
def conditioning():
    torch.manual_seed(0)
    module = ConditioningEnhancement(CHANNELS, D, M, heads=4)
    randomise(module)
    return module.double()


@pytest.fixture
def text():
    torch.manual_seed(1)
    tokens, position = torch.randn(4, 5, D, dtype=torch.float64), torch.randn(5, D, dtype=torch.float64)
    mask = torch.arange(5)[None] < torch.tensor([5, 3, 1, 4])[:, None]
    return tokens, mask, position


def test_queries_start_as_normal_vectors_of_the_given_deviation():
    torch.manual_seed(0)
    queries = ConditioningEnhancement([4], 512, 64).queries.detach()
    assert queries.shape == (64, 512)
    assert queries.std().item() == pytest.approx(0.02, rel=0.02)


def test_points_are_those_of_the_plain_form(conditioning, text):
    tokens, mask, position = text
    points = conditioning.points(tokens, mask, position)
    assert [tuple(p.shape) for p in points] == [(4, M, 2)] * 2
    w = plain_model.weights_of(conditioning)
    for u in range(4):
        for s, p in enumerate(plain_model.reference_points(w, 4, tokens[u], mask[u], position, 2)):
            assert (points[s][u] - p).abs().max() < 1e-12
    assert all(p.abs().max() < 1 for p in points)


def test_only_the_direction_of_the_query_set_counts(conditioning, text):
    """They are divided by the Frobenius norm of the whole set: scaling all of them changes nothing."""
    before = conditioning.points(*text)
    with torch.no_grad():
        conditioning.queries *= 7
    after = conditioning.points(*text)
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(before, after, strict=True))
    with torch.no_grad():
        conditioning.queries[0] *= 7  # but the norm is that of the set, not of each vector
    assert (conditioning.points(*text)[0] - before[0]).abs().max() > 1e-4


def test_norm_carries_no_gradient(conditioning, text):
    """Were it differentiated, the gradient would be orthogonal to the queries, since their scale does not count."""
    loss = sum(p.square().sum() for p in conditioning.points(*text))
    (gradient,) = torch.autograd.grad(loss, [conditioning.queries])
    w = plain_model.weights_of(conditioning)
    tokens, mask, position = text
    plain = sum(
        p.square().sum() for u in range(4) for p in plain_model.reference_points(w, 4, tokens[u], mask[u], position, 2)
    )
    (expected,) = torch.autograd.grad(plain, [conditioning.queries])
    assert (gradient - expected).abs().max() < 1e-12
    assert abs((gradient * conditioning.queries).sum()) > 1e-3 * gradient.norm() * conditioning.queries.norm()


def test_points_depend_on_the_sentence_alone(conditioning, text):
    tokens, mask, position = text
    together = conditioning.points(tokens, mask, position)
    alone = conditioning.points(tokens[1:2, :3], mask[1:2, :3], position[:3])  # other sentences and padding left out
    assert all((p[1] - a[0]).abs().max() < 1e-12 for p, a in zip(together, alone, strict=True))


def test_points_of_a_model_depend_on_neither_frames_nor_boxes():
    model = tiny_flexhook()
    batch, other = random_batch(model, seed=0), random_batch(model, seed=0)
    other.images, other.boxes, other.frame = 255 - other.images, other.boxes + 0.1, other.frame.flip(0)
    points, same = model(batch).points, model(other).points
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(points, same, strict=True))
    sentence = batch.expression.flatten()
    for p in points:  # and a sentence has the same ones in every window that hears it
        flat = p.flatten(0, 1)
        for u in sentence.unique():
            assert (flat[sentence == u] - flat[sentence == u][0]).abs().max() == 0


def test_reference_tokens_are_the_mean_over_the_frames_of_features_with_aligned_corners():
    model = tiny_flexhook(points=M, frames=4)
    batch = random_batch(model, windows=4, expressions=3)
    batch.frame[1] = batch.frame[0]  # two windows of the same frames
    batch.frame[2] = torch.tensor([1, 1, 1, 4])  # the first observation repeated
    with torch.no_grad():
        dense = model.encode_frames(batch.images)
        tokens, mask = model.encode_expressions(batch.ids, batch.mask)
        points = model.reference_points(tokens, mask)
        found, place = model.reference_tokens(FrameMaps.from_maps(dense), batch.frame, points, batch.expression)
    w = plain_model.weights_of(model.hook.conditioning)
    for s, m in enumerate(dense):
        for b in range(4):
            for n in range(3):
                at = points[s][batch.expression[b, n]]
                each = [
                    plain_model.residual_mlp(w / "mlp" / s, plain_model.layer_norm(
                        w / "norm" / s, plain_model.sample(m[f], at, True)))
                    for f in batch.frame[b]
                ]  # fmt: skip
                assert (found[s][place[b, n]] - sum(each) / 4).abs().max() < 1e-12


def test_reference_tokens_of_a_shared_pair_are_computed_once():
    model = tiny_flexhook(points=M)
    batch = random_batch(model, windows=5, expressions=4)
    batch.frame[:] = torch.tensor([0, 2, 3, 5])
    with torch.no_grad():
        maps = FrameMaps.from_maps(model.encode_frames(batch.images))
        tokens, mask = model.encode_expressions(batch.ids, batch.mask)
        found, place = model.reference_tokens(
            maps, batch.frame, model.reference_points(tokens, mask), batch.expression
        )
    assert len(found[0]) == len(batch.expression.unique())
    assert place.shape == (5, 4)


def test_no_reference_points_leave_the_conditioning_out():
    assert CHook(CHANNELS, D, [(4, 12), (2, 6)], num_reference_points=0, finest=(4, 12)).conditioning is None
    model = tiny_flexhook(points=0)
    assert not any("conditioning" in name for name, _ in model.named_parameters())
    assert model(random_batch(model)).points is None
