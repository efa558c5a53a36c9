"""Pairwise correspondence decoder: the cheap form against one long masked sequence, and what the first query is."""

import plain_model
import pytest
import torch
from tiny_model import random_batch, tiny_flexhook

from flexhook.methods.flexhook.decoder import GroupedMemory, Memory, PairwiseCorrespondenceDecoder

FOUR = {"strides": (4, 8, 16, 32), "channels": (6, 8, 10, 12)}
ONE = {"strides": (16,), "channels": (6,)}


def grids_of(model):
    return model.hook.target.grids


@pytest.mark.parametrize(
    ("settings", "own"),
    [
        ({**FOUR}, True),
        ({**FOUR}, False),  # all windows hear all sentences
        ({**FOUR, "points": 0}, True),  # without conditioning
        ({**FOUR, "points": 1, "frames": 1}, True),  # a single frame, a single point
        ({"strides": (16, 32), "channels": (5, 7), "frames": 2}, True),  # the coarsest two scales
        ({**ONE, "grid": (16, 48)}, True),  # one scale: grid (4, 12)
    ],
    ids=["published", "shared-sentences", "no-conditioning", "one-frame", "two-scales", "one-scale"],
)
def test_cheap_form_equals_the_dense_masked_form_in_values_and_gradients(settings, own):
    model = tiny_flexhook(**settings)
    batch = random_batch(model, windows=2, expressions=4, sentences=5, own=own)
    prediction = model(batch)
    logits, points = plain_model.predict(model, batch, 4, model.hook.target.finest, grids_of(model))
    assert prediction.logits.shape == logits.shape == (2, model.num_scales, 4 if own else 5, 2)
    assert (prediction.logits - logits).abs().max() < 1e-10
    for a, b in zip(prediction.points or [], points, strict=True):
        assert (a - b).abs().max() < 1e-10
    upstream = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    names, parameters = zip(*model.named_parameters(), strict=True)
    cheap = torch.autograd.grad((prediction.logits * upstream).sum(), parameters, allow_unused=True)
    dense = torch.autograd.grad((logits * upstream).sum(), parameters, allow_unused=True)
    for name, a, b in zip(names, cheap, dense, strict=True):
        assert (a is None) == (b is None), name
        if b is not None:
            assert (a - b).abs().max() < 1e-10 * max(1, b.abs().max()), name


def test_one_scale_of_stride_16_has_the_grid_4_x_12():
    assert grids_of(tiny_flexhook(**ONE, grid=(16, 48))) == [(4, 12)]
    assert grids_of(tiny_flexhook(**FOUR, grid=(16, 48))) == [(16, 48), (8, 24), (4, 12), (2, 6)]


def test_first_query_by_hand():
    """Boxes as (cx, cy, w, h), not clipped, frame by frame, times the matrix, over sqrt(D)."""
    torch.manual_seed(0)
    decoder = PairwiseCorrespondenceDecoder(width=16, num_scales=1, num_frames=2, heads=4).double()
    boxes = torch.tensor([[[0.1, 0.2, 0.5, 0.4], [-0.6, 0.8, 0.2, 1.6]]], dtype=torch.float64)
    numbers = torch.tensor([0.3, 0.3, 0.4, 0.2, -0.2, 1.2, 0.8, 0.8], dtype=torch.float64)
    assert torch.allclose(decoder.first_query(boxes), (numbers @ decoder.box_embedding / 4).view(1, 1, 16), atol=1e-14)


def test_box_matrix_starts_normal():
    torch.manual_seed(0)
    matrix = PairwiseCorrespondenceDecoder(width=256, num_scales=1, num_frames=4).box_embedding.detach()
    assert matrix.shape == (16, 256)
    assert abs(matrix.std().item() - 1) < 0.05
    assert abs(matrix.mean().item()) < 0.05


def test_heads_are_bias_free_mlps_one_per_scale():
    decoder = PairwiseCorrespondenceDecoder(width=16, num_scales=3)
    shapes = [{name: tuple(p.shape) for name, p in head.named_parameters()} for head in decoder.heads]
    assert shapes == [{"fc1.weight": (16, 16), "fc2.weight": (2, 16)}] * 3


def test_last_scale_only_is_the_last_of_all():
    model = tiny_flexhook(points=0)
    decoder, batch = model.decoder, random_batch(model, own=False)
    with torch.no_grad():
        tokens, mask = model.encode_expressions(batch.ids, batch.mask)
        words = decoder.text_memory(tokens, mask, model.text_position[: tokens.shape[1]]).select(slice(None))
        trajectory = decoder.trajectory_memory([
            torch.randn(3, h * w, 16, dtype=torch.float64) for h, w in grids_of(model)
        ])
        every = decoder.decode(batch.boxes, trajectory, words, None)
        last = decoder.decode(batch.boxes, trajectory, words, None, last_only=True)
    assert every.shape == (3, 4, 7, 2)
    assert torch.equal(last, every[:, -1:])


def test_windows_that_share_reference_tokens_judge_as_if_each_had_its_own():
    torch.manual_seed(0)
    decoder = PairwiseCorrespondenceDecoder(16, 2, num_frames=3, heads=4).double()
    boxes = torch.rand(5, 3, 4, dtype=torch.float64)
    trajectory = decoder.trajectory_memory([torch.randn(5, k, 16, dtype=torch.float64) for k in (6, 2)])
    words = decoder.text_memory(torch.randn(4, 3, 16, dtype=torch.float64), torch.ones(4, 3, dtype=torch.bool),
                                torch.zeros(3, 16, dtype=torch.float64)).select(slice(None))
    tokens = [torch.randn(9, 2, 16, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    place = torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8], [0, 1, 2, 3], [4, 4, 8, 0], [0, 1, 2, 3]])
    shared = decoder.reference_memory(tokens).grouped(place)
    assert isinstance(shared, GroupedMemory) and shared.size == 3 and len(shared.own.key[0]) == 3
    results = []
    for memory in (shared, decoder.reference_memory(tokens).select(place)):
        logits = decoder.decode(boxes, trajectory, words, memory)
        results.append((logits, *torch.autograd.grad(logits.square().sum(), tokens)))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    assert isinstance(decoder.reference_memory(tokens).grouped(place[[0, 1, 3]]), Memory)  # nothing to share
