"""RoPE-Swin: timm's Swin with mixed rotary window attention in place of its relative position bias."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, WindowAttention
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.encoders.hub import fetch
from flexhook.encoders.swin import no_shift_in_small_maps
from flexhook.encoders.visual import CLIP_MEAN, CLIP_STD, STRIDES, choose_maps
from flexhook.encoders.weight_files import read_weights
from flexhook.errors import InputError


class RotaryWindowAttention(nn.Module):
    """Window attention with mixed rotary position embedding in place of Swin's relative position bias.

    Per head, learned frequencies turn pairs of neighbouring channels of queries and keys by fx * x + fy * y, x the
    token's column and y its row in the window (Heo et al., "Rotary Position Embedding for Vision Transformer").

    Args:
        plain: timm's window attention, whose linear maps are taken over.
        theta: Base of the frequencies' initial magnitudes. A larger one starts with slower rotations.

    Raises:
        InputError: The head width is not a multiple of 4.
    """

    rope_freqs: nn.Parameter
    column: Tensor
    row: Tensor

    def __init__(self, plain: WindowAttention, theta: float = 10.0) -> None:
        super().__init__()
        self.qkv, self.proj, self.num_heads = plain.qkv, plain.proj, plain.num_heads
        head_dim = plain.dim // plain.num_heads
        if plain.dim % plain.num_heads or head_dim % 4:
            raise InputError(f"{plain.dim} channels in {plain.num_heads} heads", expected="heads a multiple of 4 wide")
        self.rope_freqs = nn.Parameter(initial_frequencies(plain.num_heads, head_dim, theta))
        h, w = plain.window_size
        token = torch.arange(h * w)
        self.register_buffer("column", (token % w).float(), persistent=False)
        self.register_buffer("row", (token // w).float(), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention within windows.

        Args:
            x: (F * windows, h * w, C), the windows of one image together.
            mask: (windows, h * w, h * w), added to the logits; None without shift.

        Returns:
            The shape of ``x``.
        """
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        fx, fy = self.rope_freqs[:, :, None]  # (heads, 1, head_dim / 2)
        angle = fx * self.column[:, None] + fy * self.row[:, None]  # (heads, h * w, head_dim / 2)
        cos, sin = angle.cos(), angle.sin()  # in the parameters' precision, also under autocast
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if mask is not None:
            mask = mask.to(q.dtype).repeat(batch // mask.shape[0], 1, 1)[:, None]
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, width))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of neighbouring channels: (a, b) -> (a cos - b sin, a sin + b cos).

    Args:
        x: (..., heads, K, d).
        cos: (heads, K, d / 2).
        sin: (heads, K, d / 2).
    """
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def initial_frequencies(heads: int, head_dim: int, theta: float) -> Tensor:
    """Frequencies (2, heads, head_dim / 2): two orthogonal directions per head, drawn evenly, of falling magnitudes."""
    magnitude = theta ** (-torch.arange(0, head_dim, 4) / head_dim)  # (head_dim / 4,)
    direction = 2 * math.pi * torch.rand(heads, 1) + torch.tensor([0.0, math.pi / 2])  # (heads, 2)
    return torch.stack([(f[:, :, None] * magnitude).flatten(1) for f in (direction.cos(), direction.sin())])


def square_window(block: Any) -> None:
    """In a map smaller than the window make it as wide as high, as the original code does; timm cuts it side by side."""
    side = min(block.window_size)
    block.window_size, block.window_area, block.attn.window_size = (side, side), side**2, (side, side)


class RopeSwinEncoder(nn.Module):
    """RoPE-Swin: no relative position bias, rotary window attention, a learned absolute position embedding.

    The maps are each stage's output before its downsampling, unnormalised.

    Args:
        image_size: (height, width) in pixels, multiples of 32.
        embed_dim: Channels of the finest scale; they double with each stage.
        depths: Blocks of each stage.
        num_heads: Attention heads of each stage.
        pretrained: Name on the hub of ImageNet weights, e.g. ``naver-ai/swin_rope_mixed_tiny_patch4_window7_224``.
        weights: Instead: a file of weights in the original naming.
        strides: Strides from which maps are kept, in pixels of the image per pixel of the map; stages behind the last are
            left out.
        scales: How many of the kept maps to give, the coarsest ones; all of them where it is None.
        mean: Channel means with which the images were normalised.
        std: Channel standard deviations, likewise.
        drop_path: Stochastic depth at the deepest block, rising linearly from 0; larger regularises more.
        mlp_ratio: Width of the hidden layer of a block's MLP over the block's.
        rope_theta: Base of the rotary frequencies' initial magnitudes.
        window_size: Height and width of a window in patches; image height / 32 where it is None. A map that is smaller
            has windows of its smaller side.

    Attributes:
        channels: Channels of each scale.
        strides: Stride of each scale.
        image_size: (height, width) of the images.

    Raises:
        InputError: The image size is no multiple of 32, no stage has a wanted stride, or the weights cannot be had or
            do not fit.
    """

    net: Any

    def __init__(
        self,
        image_size: Sequence[int] = (224, 672),
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        pretrained: str | None = None,
        weights: str | Path | None = None,
        strides: Sequence[int] = STRIDES,
        scales: int | None = None,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
        drop_path: float = 0.1,
        mlp_ratio: float = 4.0,
        rope_theta: float = 10.0,
        window_size: int | None = None,
    ) -> None:
        super().__init__()
        height, width = self.image_size = (int(image_size[0]), int(image_size[1]))
        if height % 32 or width % 32 or height <= 0 or width <= 0:
            raise InputError(
                f"RoPE-Swin cannot take images of {height}x{width}",
                expected="multiples of 32",
                hint="Change image_size",
            )
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self.net = SwinTransformer(
            img_size=self.image_size,
            window_size=window_size or height // 32,
            num_classes=0,
            embed_dim=embed_dim,
            depths=tuple(depths),
            num_heads=tuple(num_heads),
            mlp_ratio=mlp_ratio,
            drop_path_rate=drop_path,
        )
        blocks: list[Any] = [m for m in self.net.modules() if isinstance(m, SwinTransformerBlock)]
        for block in blocks:
            square_window(block)
            block.attn = RotaryWindowAttention(block.attn, rope_theta)
        no_shift_in_small_maps(self.net)
        self.net.norm, self.net.head = nn.Identity(), nn.Identity()
        patches = (height // 4) * (width // 4)
        self.absolute_pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, patches, embed_dim), std=0.02))
        stages = len(depths)
        self._given = choose_maps([4 * 2**i for i in range(stages)], strides, scales, "RoPE-Swin")
        self.channels = tuple(embed_dim * 2**i for i in self._given)
        self.strides = tuple(4 * 2**i for i in self._given)
        if weights is not None:
            load_imagenet(self, Path(weights))
        elif pretrained:
            load_imagenet(self, fetch(str(pretrained), "model.safetensors", "visual"))
        self.net.layers = self.net.layers[: self._given[-1] + 1]  # after the weights, which are the whole model's

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of images.

        Args:
            images: (F, 3, H, W), normalised.

        Returns:
            One (F, C_s, h_s, w_s) map per scale, finest first.
        """
        x = self.net.patch_embed(images)  # (F, h, w, C)
        x = x + self.absolute_pos_embed.view(1, *x.shape[1:])
        maps = []
        for stage in self.net.layers:
            x = stage(x)
            maps.append(x.permute(0, 3, 1, 2))
        return [maps[i] for i in self._given]


DERIVED = ("attn_mask", "rope_t_x", "rope_t_y", "relative_position_index")


def original_name(name: str) -> str:
    """The original Swin's name of a :class:`RopeSwinEncoder`'s tensor: there, downsampling ends a stage."""
    parts = name.removeprefix("net.").split(".")
    if parts[0] == "layers" and parts[2] == "downsample":
        parts[1] = str(int(parts[1]) - 1)
    return ".".join(parts)


def load_imagenet(encoder: RopeSwinEncoder, file: Path) -> None:
    """Fill an encoder from weights in the original naming; the absolute position embedding may be missing.

    The classifier and its norm are not needed, derived buffers are not read; anything else left over is an error.

    Raises:
        InputError: A tensor is missing, left over or of another shape.
    """
    given: Mapping[str, Tensor] = {k: v for k, v in read_weights(file).items() if k.rpartition(".")[2] not in DERIVED}
    state = encoder.state_dict()
    wanted = {original_name(name): name for name in state}
    missing = [k for k in wanted if k not in given and k != "absolute_pos_embed"]
    left_over = [k for k in given if k not in wanted and k.split(".")[0] not in ("norm", "head")]
    wrong = [k for k in wanted if k in given and given[k].shape != state[wanted[k]].shape]
    for names, what in ((missing, "are missing"), (left_over, "are left over"), (wrong, "have another shape")):
        if names:
            raise InputError(
                f"{len(names)} tensors {what}, such as {names[0]}",
                file=file,
                expected="weights of a RoPE-Swin (mixed) of the configured size in the original naming",
                hint="Compare embed_dim, depths, num_heads and image_size with the file's model",
            )
    encoder.load_state_dict({name: given.get(k, state[name]) for k, name in wanted.items()})
