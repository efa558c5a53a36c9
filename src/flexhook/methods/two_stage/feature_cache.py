"""Frozen encoders' feature maps and text tokens, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flexhook.media.images import frames_fingerprint
from flexhook.methods.two_stage.model_parts import VisualEncoder
from flexhook.structures import Video
from flexhook.structures.disk_cache import DiskCache, Entry, EntryWriter


def visual_settings(encoder: VisualEncoder) -> str:
    """What a visual encoder's maps depend on beside its weights and the images: normalisation, strides, scale."""
    return f"{encoder.mean}{encoder.std}{tuple(encoder.strides)}{encoder.map_scale}"


class FeatureCache:
    """Feature maps per video and text tokens per sentence, memory-mapped from a folder.

    The key of a video's maps covers the visual encoder's weights, the image size and the frames; that of the tokens covers
    the text encoder's weights and the sentences.

    Args:
        folder: Where the entries are; several runs may share it.
        has_maps: Feature maps are cached (the visual encoder is frozen).
        has_text: Text tokens are cached (the text encoder is frozen).
    """

    def __init__(self, folder: str | Path, has_maps: bool, has_text: bool) -> None:
        self.cache, self.has_maps, self.has_text = DiskCache(folder), has_maps, has_text
        self._maps: dict[str, Entry] = {}
        self._tokens: Tensor | None = None
        self._place: dict[str, int] = {}

    def fill_maps(
        self,
        video: Video,
        key: str,
        load: Callable[[int], np.ndarray],
        encode: Callable[[Tensor], list[Tensor]],
        batch: int = 8,
    ) -> bool:
        """Open a video's maps, computing them first where they are not there.

        Args:
            video: The video.
            key: Digest of everything but the frames that the maps depend on.
            load: Frame index -> (H, W, 3) uint8.
            encode: (F, 3, H, W) uint8 -> maps per scale.
            batch: Frames encoded at a time.

        Returns:
            Whether they had to be computed.

        Raises:
            InputError: The folder cannot be written to, or a frame does not decode.
        """
        count = len(video.frames)

        def write(writer: EntryWriter) -> None:
            files: list[np.ndarray] = []
            for start in range(0, count, batch):
                images = np.stack([load(k) for k in range(start, min(start + batch, count))])
                maps = encode(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
                if not files:
                    files = [writer.create(str(s), np.float32, (count, *m.shape[1:])) for s, m in enumerate(maps)]
                for file, m in zip(files, maps, strict=True):
                    file[start : start + len(m)] = m.float().cpu().numpy()

        self._maps[video.name], computed = self.cache.fetch(self.cache.path(video.name, key, frames_fingerprint(video)), write)
        return computed

    def fill_text(
        self, texts: Sequence[str], key: str, ids: Tensor, mask: Tensor, encode: Callable[[Tensor, Tensor], Tensor]
    ) -> bool:
        """Open the tokens of sentences, computing them first where they are not there.

        Args:
            texts: U sentences.
            key: Digest of the text encoder.
            ids: (U, L) token ids.
            mask: (U, L) bool.
            encode: (u, L), (u, L) -> (u, L, D).

        Returns:
            Whether they had to be computed.

        Raises:
            InputError: The folder cannot be written to.
        """

        def write(writer: EntryWriter) -> None:
            parts = [encode(ids[i : i + 64], mask[i : i + 64]).float().cpu() for i in range(0, len(ids), 64)]
            writer.save("tokens", torch.cat(parts).numpy())

        entry, computed = self.cache.fetch(self.cache.path("text", key, ids.cpu().numpy(), *texts), write)
        self._tokens = torch.from_numpy(np.array(entry.arrays["tokens"]))
        self._place = {text: k for k, text in enumerate(texts)}
        return computed

    def maps(self, frames: Sequence[tuple[str, int]]) -> list[Tensor]:
        """Maps of (video, frame) pairs: per scale (F, C_s, h, w) float32."""
        arrays = {video: self._maps[video].arrays for video, _ in frames}
        return [torch.from_numpy(np.stack([arrays[v][s][f] for v, f in frames])) for s in arrays[frames[0][0]]]

    def text_tokens(self, texts: Sequence[str]) -> Tensor:
        """Tokens of sentences: (U, L, D) float32."""
        assert self._tokens is not None
        return self._tokens[[self._place[t] for t in texts]]
