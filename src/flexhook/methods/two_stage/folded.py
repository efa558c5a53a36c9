"""BatchNorms folded into the convolutions before them: the same maps, sooner."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-5  # of the largest value of a map


@torch.inference_mode()
def folded(visual: nn.Module, image_size: tuple[int, int]) -> nn.Module:
    """A visual encoder for inference.

    A BatchNorm that is registered behind a convolution is folded into it; on a CPU the copy computes with channels last. That a
    module's parts run in the order in which they are registered is not known but tested: the copy is taken where it gives the
    maps of the original for an image of noise.

    Args:
        visual: The encoder, in evaluation mode.
        image_size: (height, width) that it will see.

    Returns:
        A copy; the encoder itself where there is nothing to fold, or where the copy's maps are others.
    """
    if not any(_pairs(module) for module in visual.modules()):
        return visual
    faster = copy.deepcopy(visual)
    for module in faster.modules():
        for convolution, norm in _pairs(module):
            old: Any = getattr(module, norm)
            setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), old))
            setattr(module, norm, _after(old))
    weight = next(visual.parameters())
    if weight.device.type == "cpu":
        faster = faster.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    noise = torch.rand(1, 3, *image_size, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    try:
        pairs = list(zip(visual(noise), faster(noise), strict=True))
    except (RuntimeError, TypeError, AttributeError, ValueError):
        return visual
    same = all(a.shape == b.shape and bool((a - b).abs().max() <= TOLERANCE * a.abs().max()) for a, b in pairs)
    return faster if same else visual


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of a module's convolutions with a BatchNorm registered right behind them."""
    children = list(module.named_children())
    return [
        (one, other) for (one, a), (other, b) in pairwise(children)
        if isinstance(a, nn.Conv2d) and isinstance(b, nn.BatchNorm2d) and b.running_mean is not None and not b.training
        and a.out_channels == b.num_features
    ]  # fmt: skip


def _after(norm: Any) -> nn.Module:
    """What a BatchNorm did besides: timm's has the activation in it."""
    parts = [getattr(norm, name) for name in ("drop", "act") if isinstance(getattr(norm, name, None), nn.Module)]
    return nn.Sequential(*parts)
