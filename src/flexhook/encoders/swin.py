"""Swin Transformers of timm, shifted as in the original code."""

from __future__ import annotations

from typing import Any

from timm.layers import to_2tuple
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn

from flexhook.encoders.visual import TimmVisualEncoder


def no_shift_in_small_maps(net: nn.Module) -> None:
    """Leave the shift out of every block whose map is no larger than its window in one side, as the original code does.

    timm decides it side by side: a 7x21 map with window 7 it would still shift along the width.
    """
    for block in net.modules():
        if isinstance(block, SwinTransformerBlock):
            (height, width), window = to_2tuple(block.input_resolution), block.window_size
            if height <= window[0] or width <= window[1]:
                block.shift_size = (0, 0)
                block.register_buffer("attn_mask", None, persistent=False)


class SwinEncoder(TimmVisualEncoder):
    """A timm Swin with the original shift rule; arguments as :class:`TimmVisualEncoder`."""

    def __init__(self, model: str = "swin_tiny_patch4_window7_224", *args: Any, **arguments: Any) -> None:
        super().__init__(model, *args, **arguments)
        no_shift_in_small_maps(self.net)
