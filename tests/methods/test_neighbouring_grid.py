"""Neighbouring grid sampling: where a box's features are taken, and what is taken there."""

import plain_model
import pytest
import torch
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.flexhook.hook import NeighbouringGridSampling
from flexhook.methods.two_stage.frame_maps import FrameMaps, sample_rows

GRIDS = [(16, 48), (8, 24), (4, 12), (2, 6)]


def coordinates(box, grids=GRIDS, finest=(16, 48)):
    return NeighbouringGridSampling(grids, finest).coordinates(torch.tensor(box, dtype=torch.float64))


def test_finest_grid_by_hand():
    """Box 0.25..0.5 x 0.1..0.9: gw = 0.25 / 48, gh = 0.8 / 16 = 0.05; the first centre is half a cell inside."""
    points = coordinates([0.25, 0.1, 0.5, 0.9])[0].view(16, 48, 2)
    gw = 0.25 / 48
    assert points[0, 0].tolist() == pytest.approx([2 * (0.25 + gw / 2) - 1, 2 * 0.125 - 1], abs=1e-14)
    assert points[0, 1].tolist() == pytest.approx([2 * (0.25 + 1.5 * gw) - 1, 2 * 0.125 - 1], abs=1e-14)
    assert points[1, 0].tolist() == pytest.approx([2 * (0.25 + gw / 2) - 1, 2 * 0.175 - 1], abs=1e-14)
    assert points[15, 47].tolist() == pytest.approx([2 * (0.5 - gw / 2) - 1, 2 * 0.875 - 1], abs=1e-14)


def test_coarsest_grid_by_hand():
    """Equal cells, so that the means of centres are the coarse cells' centres: x = 1/12, 3/12, ..; y = 1/4, 3/4."""
    points = coordinates([0.0, 0.0, 1.0, 1.0])[3].view(2, 6, 2)
    expected = [[[2 * (2 * i + 1) / 12 - 1, 2 * (2 * j + 1) / 4 - 1] for i in range(6)] for j in range(2)]
    assert torch.allclose(points, torch.tensor(expected, dtype=torch.float64), atol=1e-14)


@pytest.mark.parametrize("box", [[0.2, 0.3, 0.7, 0.9], [-0.4, 0.6, 0.1, 1.3], [0.5, 0.5, 0.5, 0.5]])
def test_coarser_grids_are_adaptive_average_poolings_of_the_finest(box):
    points = coordinates(box)
    finest = points[0].view(16, 48, 2).permute(2, 0, 1)
    for (h, w), p in zip(GRIDS, points, strict=True):
        pooled = F.adaptive_avg_pool2d(finest, (h, w)).flatten(1).T
        assert (p - pooled).abs().max() < 1e-14
        plain = plain_model.grid_points(torch.tensor(box, dtype=torch.float64), (16, 48), (h, w))
        assert (p - plain).abs().max() < 1e-14


def test_boxes_are_not_clipped_to_the_frame():
    points = coordinates([-0.5, 0.0, 0.5, 1.0])[0]
    assert points[:, 0].min() == pytest.approx(-2 + 1 / 48, abs=1e-14)
    assert points[:, 0].max() == pytest.approx(0 - 1 / 48, abs=1e-14)


def test_several_boxes_keep_their_shape():
    boxes = torch.rand(2, 3, 4, dtype=torch.float64)
    points = NeighbouringGridSampling(GRIDS).coordinates(boxes)
    assert [tuple(p.shape) for p in points] == [(2, 3, h * w, 2) for h, w in GRIDS]
    alone = coordinates(boxes[1, 2].tolist())
    assert all((p[1, 2] - a).abs().max() < 1e-14 for p, a in zip(points, alone, strict=True))


def test_grid_that_does_not_divide_the_finest_is_refused():
    with pytest.raises(ConfigError, match="5x12"):
        NeighbouringGridSampling([(5, 12)], (16, 48))


def grid_sample(maps, frame, points, align_corners):
    return F.grid_sample(maps[frame], points[:, None], "bilinear", "zeros", align_corners)[:, :, 0].transpose(1, 2)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("reach", [0.9, 1.0, 1.6])  # within the frame, up to its border, far beyond it
def test_sampling_equals_grid_sample_in_values_and_gradients(align_corners, reach):
    torch.manual_seed(0)
    maps = torch.randn(3, 5, 4, 7, dtype=torch.float64, requires_grad=True)
    points = (reach * (2 * torch.rand(6, 40, 2, dtype=torch.float64) - 1)).requires_grad_()
    frame = torch.tensor([2, 0, 0, 1, 2, 2])
    kept = FrameMaps.from_maps([maps])
    out = sample_rows(kept.rows[0], kept.shapes[0], frame, points, align_corners)
    expected = grid_sample(maps, frame, points, align_corners)
    assert (out - expected).abs().max() < 1e-12
    upstream = torch.randn_like(out)
    for a, b in zip(*(torch.autograd.grad((o * upstream).sum(), [maps, points]) for o in (out, expected)), strict=True):
        assert (a - b).abs().max() < 1e-11


@pytest.mark.parametrize("align_corners", [False, True])
def test_sampling_at_the_exact_border(align_corners):
    maps = torch.arange(1.0, 13, dtype=torch.float64).view(1, 1, 3, 4)
    points = torch.tensor([[[-1.0, -1], [1, 1], [1, -1], [-1, 1], [0, 0], [1.0001, 0]]], dtype=torch.float64)
    kept = FrameMaps.from_maps([maps])
    out = sample_rows(kept.rows[0], kept.shapes[0], torch.tensor([0]), points, align_corners)
    assert (out - grid_sample(maps, torch.tensor([0]), points, align_corners)).abs().max() < 1e-12
    # -1 is the first cell's centre when corners are aligned, else its outer corner: a quarter of it, the rest outside
    assert out[0, 0, 0] == pytest.approx(1 if align_corners else 0.25)


def test_sampling_by_hand():
    """A 2x2 map, corners not aligned: (0.25, -0.5) lies at x = 0.75, y = 0 in cells."""
    maps = torch.tensor([[[[1.0, 5.0], [100.0, 200.0]]]], dtype=torch.float64)
    kept = FrameMaps.from_maps([maps])
    points = torch.tensor([[[0.25, -0.5]]], dtype=torch.float64)
    out = sample_rows(kept.rows[0], kept.shapes[0], torch.tensor([0]), points, False)
    assert out.item() == pytest.approx(0.25 * 1 + 0.75 * 5)


def test_features_of_a_box_over_the_border():
    """The left half of the box lies outside: zeros there, the constant map's value inside."""
    target = NeighbouringGridSampling([(4, 12)], (16, 48))
    maps = FrameMaps.from_maps([torch.full((1, 2, 8, 24), 3.0, dtype=torch.float64)])
    box = torch.tensor([[-0.25, 0.25, 0.25, 0.75]], dtype=torch.float64)
    (features,), _ = target(maps, torch.tensor([0]), box)
    features = features.view(4, 12, 2)
    assert features[:, :5].abs().max() == 0
    assert (features[:, 6:] - 3).abs().max() < 1e-12


def test_each_box_is_sampled_in_its_own_frame_at_every_scale():
    torch.manual_seed(0)
    maps = [torch.randn(3, c, h, w, dtype=torch.float64) for c, h, w in ((2, 8, 24), (3, 4, 12))]
    target = NeighbouringGridSampling([(8, 24), (4, 12)], (16, 48))
    frame, boxes = torch.tensor([2, 0, 2]), torch.tensor([[0.1, 0.2, 0.6, 1.2]] * 3, dtype=torch.float64)
    features, points = target(FrameMaps.from_maps(maps), frame, boxes)
    for s in range(2):
        assert (features[s] - grid_sample(maps[s], frame, points[s], False)).abs().max() < 1e-12
    assert torch.equal(features[0][0], features[0][2])
    assert (features[0][0] - features[0][1]).abs().max() > 0.1
