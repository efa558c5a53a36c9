"""The baseline iKUN (CVPR 2024): crop and frame encoded apart, pooled with the sentence as query, matched by the cosine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.cosine import CosineMatcher, SentenceVectors
from flexhook.methods.two_stage.frame_maps import FrameMaps
from flexhook.methods.two_stage.layers import AttentionBlock, SharedTokens
from flexhook.methods.two_stage.model_parts import TextEncoder, VisualEncoder
from flexhook.methods.two_stage.referring_model import Prediction, ReferringModel, WindowBatch


def crop(images: Tensor, frame: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut objects out of frames and bring them to one size, averaging where they are larger.

    Args:
        images: (F, 3, H, W).
        frame: (P,) int64.
        boxes: (P, 4) fractions of the frame; what hangs over the border is cut off.
        size: (height, width) of the crops.

    Returns:
        (P, 3, height, width) float.
    """
    sides = boxes.new_tensor([images.shape[-1], images.shape[-2]])
    low, high = (boxes.unflatten(-1, (2, 2)).clamp(0, 1) * sides).unbind(-2)  # pixels of the image
    low = torch.minimum(low, sides - 1)
    corners = torch.cat([frame[:, None].to(boxes.dtype), low, torch.maximum(high, low + 1)], -1)
    return roi_align(images.to(boxes.dtype), corners, list(size), aligned=True)


class KnowledgeUnification(nn.Module):
    """Pools an object's tokens with the sentence as query, frame by frame, and takes the mean over the frames.

    Args:
        width: D.
        heads: Attention heads; D must be a multiple.
    """

    def __init__(self, width: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.q_norm, self.kv_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, tokens: Tensor, sentences: Tensor) -> Tensor:
        """Pool (B, T, K, D) tokens for (B or 1, N, D) sentences: (B, N, D)."""
        x = self.kv_norm(tokens)
        query, key, value = (
            y.unflatten(-1, (self.heads, -1)) for y in (self.wq(self.q_norm(sentences)), self.wk(x), self.wv(x))
        )
        query = (query * query.shape[-1] ** -0.5).expand(len(tokens), *query.shape[1:])
        weight = torch.einsum("bnhd,btkhd->btnhk", query, key).softmax(-1) / tokens.shape[1]
        return self.wo(torch.einsum("btnhk,btkhd->bnhd", weight, value).flatten(-2))  # the mean over t is in the weights


class IKUN(ReferringModel):
    """Dual encoding and cosine matching.

    Per frame the object's crop and the whole frame each go through the visual encoder; the crop's tokens attend to the
    frame's, are pooled with the sentence as query and averaged over the T frames; the score is the cosine of projected
    visual and sentence features. Crops are cut from the images that every model sees (``image_size``) and encoded live:
    tracking noise moves the boxes, so they cannot be cached as the frames' maps can.

    Args:
        visual: Visual encoder; its last scale is used. It must take images of the crops' size too.
        text: Text encoder.
        num_frames: T, frames of a window.
        image_size: (height, width) of the frames.
        crop_size: (height, width) that crops are brought to. A larger one gives more tokens per object and costs in
            proportion. None: squares as high as the frame where the visual encoder takes them, else the frame's size.
        heads: Attention heads.

    Raises:
        ConfigError: The visual encoder does not take images of the size given for crops.
    """

    needs_images = True

    def __init__(
        self,
        visual: VisualEncoder,
        text: TextEncoder,
        num_frames: int = 4,
        image_size: Sequence[int] = (224, 672),
        crop_size: Sequence[int] | None = None,
        heads: int = 8,
    ) -> None:
        super().__init__(visual, text, num_frames)
        self.crop_size = self._crop_size(image_size, crop_size)
        width = self.text.width
        self.projection = nn.Linear(self.visual.channels[-1], width)
        self.cross_attention = AttentionBlock(width, heads)
        self.unification = KnowledgeUnification(width, heads)
        self.match = CosineMatcher(width)

    def _crop_size(self, image_size: Sequence[int], wanted: Sequence[int] | None) -> tuple[int, int]:
        height, width = (image_size[0], image_size[0]) if wanted is None else wanted
        refusal = self._refusal(size := (int(height), int(width)))
        if refusal is None:
            return size
        if wanted is None:  # an encoder of one image size, such as Swin
            return int(image_size[0]), int(image_size[1])
        raise ConfigError(f"the visual encoder does not take crops of {size[0]}x{size[1]} ({refusal})",
                          expected="a size it can encode beside image_size",
                          hint="Leave model.crop_size at null, which takes a size that fits the encoder")

    @torch.no_grad()
    def _refusal(self, size: tuple[int, int]) -> str | None:
        """Why the visual encoder does not take images of a size; None where it does."""
        training = self.visual.training
        try:
            self.visual.eval()(torch.zeros(1, 3, *size))
        except (RuntimeError, AssertionError, ValueError) as error:
            return (str(error).splitlines() or [repr(error)])[0]
        finally:
            self.visual.train(training)
        return None

    def observe(self, maps: FrameMaps, frame: Tensor, boxes: Tensor) -> list[Tensor]:
        """What is kept of observations, each cropped and encoded once.

        Args:
            maps: Maps of F frames, with their images.
            frame: (P,) int64.
            boxes: (P, 4) fractions.

        Returns:
            One tensor (P, K, D): the crop's tokens after they attended to the frame's.
        """
        assert maps.images is not None
        crops = self.encode_frames(crop(maps.images, frame, boxes, self.crop_size))[-1]
        crop_tokens = self.projection(crops.flatten(2).transpose(1, 2))
        frame_tokens = self.projection(maps.rows[-1].unflatten(0, (len(maps.images), -1)))
        key, value = self.cross_attention.keys_values(frame_tokens)
        return [self.cross_attention(crop_tokens, [SharedTokens(key[frame], value[frame])])]

    def prepare_sentences(self, tokens: Tensor, mask: Tensor) -> SentenceVectors:
        """Sentence vectors, for scoring many windows: encoded (U, L, D) tokens, (U, L) mask."""
        return self.match.sentences(tokens, mask)

    def look(self, maps: FrameMaps, frame: int, sentences: SentenceVectors) -> list[Tensor]:
        """Nothing is kept of a frame for sentences."""
        return []

    def judge(
        self,
        boxes: Tensor,
        observed: list[Tensor],
        looked: list[Tensor],
        sentences: SentenceVectors,
        max_pairs: int,
        group: Tensor | None = None,
    ) -> Tensor:
        """Logits of windows against all sentences.

        Args:
            boxes: (B, T, 4) fractions, not looked at.
            observed: One tensor (B, T, K, D) from :meth:`observe`.
            looked: Empty.
            sentences: The U sentences.
            max_pairs: (window, expression) pairs decided at a time.
            group: Not looked at.

        Returns:
            (B, U, 2) logits (no, yes).
        """
        step = max(max_pairs // len(boxes), 1)
        parts = [sentences.select(slice(start, start + step)) for start in range(0, len(sentences), step)]
        return torch.cat([self.match(self.unification(observed[0], part.pooled), part) for part in parts], dim=1)

    def forward(self, batch: WindowBatch) -> Prediction:
        """Score every window of a batch against its sentences; the batch must carry images, also beside cached maps."""
        maps, tokens, mask = self.encode_batch(batch)
        sentences = self.match.sentences(tokens, mask)
        own = sentences.select(slice(None) if batch.expression is None else batch.expression)
        observed = self.observe(maps, batch.frame.flatten(), batch.boxes.flatten(0, 1))[0]
        pooled = self.unification(observed.unflatten(0, batch.frame.shape), own.pooled)
        return Prediction(self.match(pooled, own)[:, None])
