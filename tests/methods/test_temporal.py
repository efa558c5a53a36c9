"""Temporal integration: the layout of the channels, the motion, and the way from a finer scale to a coarser one."""

import plain_model
import pytest
import torch
from tiny_model import randomise
from torch import nn

from flexhook.methods.flexhook.temporal import TemporalIntegration, displacements, positions_only

GRIDS, CHANNELS, D = [(4, 6), (2, 3)], (5, 7), 8


def make(frames=4, motion=displacements):
    torch.manual_seed(0)
    module = TemporalIntegration(CHANNELS, D, GRIDS, frames, motion)
    randomise(module)
    return module.double()


def random_input(frames=4, windows=2):
    torch.manual_seed(1)
    features = [torch.randn(windows, frames, h * w, c, dtype=torch.float64)
                for (h, w), c in zip(GRIDS, CHANNELS, strict=True)]
    points = [torch.randn(windows, frames, h * w, 2, dtype=torch.float64) for h, w in GRIDS]
    return features, points


def test_displacement_to_the_next_frame_and_position_in_the_last():
    points = torch.tensor([[[[0.1, 0.2]], [[0.15, 0.1]], [[-0.3, 0.5]]]], dtype=torch.float64)  # T = 3, one grid point
    expected = [[0.05, -0.1], [-0.45, 0.4], [-0.3, 0.5]]
    assert torch.allclose(displacements(points)[0, :, 0], torch.tensor(expected, dtype=torch.float64), atol=1e-15)


def test_single_frame_has_its_position():
    points = torch.rand(2, 1, 3, 2)
    assert torch.equal(displacements(points), points)


def test_ablation_without_motion_keeps_the_last_position_only():
    points = torch.rand(2, 4, 3, 2)
    out = positions_only(points)
    assert out[:, :3].abs().max() == 0
    assert torch.equal(out[:, 3], points[:, 3])


def test_channels_are_laid_out_frame_by_frame():
    """T * (C + 2): a frame's features, then its two coordinates, then the next frame's."""
    module, (features, points) = make(), random_input()
    seen = []
    module.norm[0].register_forward_pre_hook(lambda _m, x: seen.append(x[0]))
    module.own_tokens(0, features[0], points[0])
    (x,) = seen
    assert x.shape == (2, 24, 4 * (5 + 2))
    for b, k, t in ((0, 0, 0), (1, 13, 2), (0, 23, 3)):
        start = t * 7
        assert torch.equal(x[b, k, start : start + 5], features[0][b, t, k])
        p = points[0][b, :, k]
        motion = p[t + 1] - p[t] if t < 3 else p[3]
        assert torch.equal(x[b, k, start + 5 : start + 7], motion)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_tokens_of_one_scale_are_a_residual_mlp_of_the_normalised_channels(frames):
    module, (features, points) = make(frames), random_input(frames)
    w = plain_model.weights_of(module)
    for s in range(2):
        out = module.own_tokens(s, features[s], points[s])
        for b in range(2):
            motion = plain_model.displacement_channels(points[s][b])
            parts = [x for t in range(frames) for x in (features[s][b, t], motion[t])]
            x = plain_model.layer_norm(w / "norm" / s, torch.cat(parts, -1))
            assert (out[b] - plain_model.residual_mlp(w / "mlp" / s, x)).abs().max() < 1e-12


def test_finer_tokens_are_reduced_and_added():
    module, (features, points) = make(), random_input()
    finest, coarse = module(features, points)
    assert torch.equal(finest, module.own_tokens(0, features[0], points[0]))
    first, second = module.reduction[0]
    own = module.own_tokens(1, features[1], points[1])
    for b in range(2):
        for y in range(2):
            for x in range(3):  # 3x3 convolution of stride 2 and padding 1, by loops
                total = first.bias.clone()
                for i in range(3):
                    for j in range(3):
                        row, column = 2 * y - 1 + i, 2 * x - 1 + j
                        if 0 <= row < 4 and 0 <= column < 6:
                            total = total + first.weight[:, :, i, j] @ finest[b, row * 6 + column]
                expected = own[b, y * 3 + x] + second.weight[:, :, 0, 0] @ total + second.bias
                assert (coarse[b, y * 3 + x] - expected).abs().max() < 1e-12


def test_a_scale_receives_the_sum_of_the_scale_before():
    """Of three scales the last sees the first through the second: what is added to the second is passed on."""
    torch.manual_seed(0)
    grids, channels = [(4, 8), (2, 4), (1, 2)], (3, 3, 3)
    module = TemporalIntegration(channels, D, grids, 2).double()
    features = [torch.randn(1, 2, h * w, 3, dtype=torch.float64) for h, w in grids]
    points = [torch.randn(1, 2, h * w, 2, dtype=torch.float64) for h, w in grids]
    features[0].requires_grad_()
    module(features, points)[2].sum().backward()
    assert features[0].grad.abs().max() > 1e-4


def test_reduction_is_a_strided_and_a_pointwise_convolution_with_biases():
    module = make()
    first, second = module.reduction[0]
    assert isinstance(first, nn.Conv2d)
    assert (first.kernel_size, first.stride, first.padding, first.bias is not None) == ((3, 3), (2, 2), (1, 1), True)
    assert (second.kernel_size, second.stride, second.padding, second.bias is not None) == ((1, 1), (1, 1), (0, 0), True)
    assert module.norm[1].normalized_shape == (4 * (7 + 2),)
    assert module.mlp[1].fc1.weight.shape == (36, 36)
    assert module.mlp[1].fc2.weight.shape == (D, 36)
