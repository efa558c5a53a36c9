"""What the published checkpoints call the tensors of the encoders."""

from __future__ import annotations

import re
from typing import Any

from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

from flexhook.encoders.clip_text import ClipTextEncoder
from flexhook.encoders.rope_swin import RopeSwinEncoder, RotaryWindowAttention, original_name
from flexhook.encoders.text import TransformersTextEncoder
from flexhook.errors import InputError

OPENAI_RESNET = (
    (r"net\.stem_conv(\d)\.conv\.", r"conv\1."),
    (r"net\.stem_conv(\d)\.bn\.", r"bn\1."),
    (r"(stages_\d)\.(\d+)\.conv(\d)_\w+?\.conv\.", r"\1.\2.conv\3."),
    (r"(stages_\d)\.(\d+)\.conv(\d)_\w+?\.bn\.", r"\1.\2.bn\3."),
    (r"(stages_\d)\.(\d+)\.shortcut\.conv\.conv\.", r"\1.\2.downsample.0."),
    (r"(stages_\d)\.(\d+)\.shortcut\.conv\.bn\.", r"\1.\2.downsample.1."),
    (r"net\.stages_(\d)\.", lambda m: f"layer{int(m[1]) + 1}."),
)


def visual_names(encoder: nn.Module) -> dict[str, str]:
    """Published name, without ``backbone.``, of every tensor of a visual encoder.

    RoPE-Swin has the original Swin's layout, ResNets have torchvision's names, CLIP's ResNet has OpenAI's.

    Raises:
        InputError: The published code has no such encoder.
    """
    names = list(encoder.state_dict())
    if isinstance(encoder, RopeSwinEncoder):
        return {name: original_name(name) for name in names}
    if any(name.startswith("net.stem_conv1.") for name in names):
        return {name: _substitute(name, OPENAI_RESNET) for name in names}
    if any(name.startswith("net.layer1.") for name in names):
        return {name: name.removeprefix("net.") for name in names}
    raise InputError(
        f"the published code has no visual encoder like {type(encoder).__name__} with tensors such as {names[0]}",
        expected="RoPE-Swin, ResNet-18, -34, -50 or CLIP RN50",
    )


def text_names(encoder: nn.Module) -> dict[str, str]:
    """Published name, without ``text_encoder.``, of every tensor of a text encoder: Hugging Face's or OpenAI's.

    Raises:
        InputError: The published code has no such encoder.
    """
    if isinstance(encoder, TransformersTextEncoder):
        return {name: name.removeprefix("net.") for name in encoder.state_dict()}
    if isinstance(encoder, ClipTextEncoder):
        return {name: name for name in encoder.state_dict()}
    raise InputError(
        f"the published code has no text encoder like {type(encoder).__name__}",
        expected="a transformers model or CLIP's text tower",
    )


def derived_buffers(encoder: nn.Module) -> dict[str, Tensor]:
    """Buffers that the published code stores and this one derives, by published name without ``backbone.``."""
    buffers: dict[str, Tensor] = {}
    block: Any
    for name, block in encoder.named_modules():
        if isinstance(block, SwinTransformerBlock) and isinstance(block.attn_mask, Tensor):
            buffers[original_name(f"{name}.attn_mask")] = block.attn_mask
        if isinstance(block, RotaryWindowAttention):
            buffers[original_name(f"{name}.rope_t_x")] = block.column
            buffers[original_name(f"{name}.rope_t_y")] = block.row
    return buffers


def index_buffers(encoder: nn.Module) -> dict[str, Tensor]:
    """Index buffers of a text encoder that older versions of transformers stored, by published name without prefix."""
    return {
        name.removeprefix("net."): buffer
        for name, buffer in encoder.named_buffers()
        if name.endswith(("position_ids", "token_type_ids"))
    }


def _substitute(name: str, rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
