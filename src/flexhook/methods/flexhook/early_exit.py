"""Early exit: a trained model cut down to its first scales, so that scoring stops there."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from flexhook.errors import ConfigError
from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
from flexhook.methods.flexhook.network import FlexHook


class FirstMaps(nn.Module):
    """A visual encoder without its coarsest maps.

    Args:
        visual: The encoder.
        count: How many maps are kept, the finest ones.
    """

    def __init__(self, visual: Any, count: int) -> None:
        super().__init__()
        self.visual, self.count = visual, count
        self.channels, self.strides = tuple(visual.channels)[:count], tuple(visual.strides)[:count]
        self.mean, self.std = visual.mean, visual.std

    def forward(self, images: Tensor) -> list[Tensor]:
        """(F, 3, H, W) -> the first maps, finest first."""
        return self.visual(images)[: self.count]


def first_scales(model: nn.Module, count: int) -> nn.Module:
    """A copy of a model that ends at a scale: every scale has its own logits, so those of an earlier one can be taken.

    The visual encoder still runs whole; sampling, temporal integration, conditioning and decoding of the later scales
    are saved.

    Args:
        model: A trained FlexHook with the pairwise correspondence decoder.
        count: Scales kept, from the finest on: 1 to S. More are slower and decide later.

    Raises:
        ConfigError: The model has no such scale, or does not decide at every scale.
    """
    if not isinstance(model, FlexHook) or not isinstance(model.decoder, PairwiseCorrespondenceDecoder):
        raise ConfigError("scoring.exit_scale is set for a model that decides once, at its end",
                          expected="FlexHook with the pairwise correspondence decoder", hint="scoring.exit_scale=null")
    if not 1 <= count <= model.num_scales:
        raise ConfigError(f"scoring.exit_scale is {count}", expected=f"1 to {model.num_scales}, the model's scales")
    cut = copy.deepcopy(model)
    cut.num_scales = count
    cut.visual = FirstMaps(cut.visual, count)
    cut.hook.target.grids = cut.hook.target.grids[:count]
    conditioning = cut.hook.conditioning
    if conditioning is not None:
        for name in ("blocks", "coordinate", "norm", "mlp"):
            setattr(conditioning, name, getattr(conditioning, name)[:count])
    for part, names in ((cut.temporal, ("norm", "mlp")), (cut.decoder, ("blocks", "heads"))):
        for name in names:
            setattr(part, name, getattr(part, name)[:count])
    cut.temporal.reduction = cut.temporal.reduction[: count - 1]
    return cut
