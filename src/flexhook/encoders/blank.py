"""A visual encoder that sees nothing, for the control that asks what boxes and sentences tell alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class BlankVisualEncoder(nn.Module):
    """Feature maps of zeros, in the sizes a real encoder's would have.

    Args:
        image_size: (height, width) in pixels of the images that ``forward`` will get.
        channels: C_s of each scale.
        strides: Pixels of the image per pixel of each map, finest first.
        mean: Channel means for whoever prepares images.
        std: Channel standard deviations, likewise.
    """

    def __init__(
        self,
        image_size: Sequence[int],
        channels: Sequence[int] = (8, 8, 8),
        strides: Sequence[int] = (8, 16, 32),
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
    ) -> None:
        super().__init__()
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.channels, self.strides = tuple(channels), tuple(strides)
        self.mean, self.std = tuple(mean), tuple(std)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(F, 3, H, W) -> per scale (F, C_s, h_s, w_s) zeros."""
        height, width = images.shape[-2:]
        return [images.new_zeros(len(images), c, height // s, width // s)
                for c, s in zip(self.channels, self.strides, strict=True)]
