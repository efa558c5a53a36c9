"""Frozen encoders' feature maps and text tokens, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flexhook.media.images import frames_fingerprint
from flexhook.methods.two_stage.protocols import VisualEncoder
from flexhook.structures import Video
from flexhook.structures.whole_files import whole_folder


def visual_settings(encoder: VisualEncoder) -> str:
    """What a visual encoder's maps depend on beside its weights and the images: normalisation, strides, scale."""
    return f"{encoder.mean}{encoder.std}{tuple(encoder.strides)}{encoder.map_scale}"


class FeatureCache:
    """Feature maps per video and text tokens per sentence, memory-mapped from a folder.

    A video's maps lie in ``<folder>/<video>-<key>/<scale>.npy`` where the key covers the visual encoder's weights, the
    image size and the frames; tokens in ``<folder>/text-<key>/``. Folders are complete or absent.

    Args:
        folder: Where the cache lies; several runs may share it.
        has_maps: Feature maps are cached (the visual encoder is frozen).
        has_text: Text tokens are cached (the text encoder is frozen).
    """

    def __init__(self, folder: str | Path, has_maps: bool, has_text: bool) -> None:
        self.folder, self.has_maps, self.has_text = Path(folder), has_maps, has_text
        self._maps: dict[str, list[np.memmap]] = {}
        self._tokens: Tensor | None = None
        self._place: dict[str, int] = {}

    def __getstate__(self) -> dict:
        """For loading processes that are spawned: files are named, not copied."""
        names = {video: [str(m.filename) for m in maps] for video, maps in self._maps.items()}
        return self.__dict__ | {"_maps": names}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._maps = {video: [np.load(n, mmap_mode="r") for n in names] for video, names in state["_maps"].items()}

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
        """
        target = self.folder / f"{video.name}-{_digest(key, frames_fingerprint(video))}"
        missing = not target.is_dir()
        if missing:
            with whole_folder(target) as work:
                files: list[np.ndarray] = []
                for start in range(0, len(video.frames), batch):
                    images = np.stack([load(k) for k in range(start, min(start + batch, len(video.frames)))])
                    maps = encode(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
                    if not files:
                        files = [
                            np.lib.format.open_memmap(work / f"{s}.npy", mode="w+", dtype=np.float32,
                                                      shape=(len(video.frames), *m.shape[1:]))
                            for s, m in enumerate(maps)
                        ]
                    for file, m in zip(files, maps, strict=True):
                        file[start : start + len(m)] = m.float().cpu().numpy()
                for file in files:
                    file.flush()  # type: ignore[attr-defined]
                (work / "scales.json").write_text(json.dumps(len(files)))
        count = json.loads((target / "scales.json").read_text())
        self._maps[video.name] = [np.load(target / f"{s}.npy", mmap_mode="r") for s in range(count)]
        return missing

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
        """
        target = self.folder / f"text-{_digest(key, str(ids.tolist()), *texts)}"
        missing = not target.is_dir()
        if missing:
            with whole_folder(target) as work:
                parts = [encode(ids[i : i + 64], mask[i : i + 64]).float().cpu() for i in range(0, len(ids), 64)]
                np.save(work / "tokens.npy", torch.cat(parts).numpy())
        self._tokens = torch.from_numpy(np.load(target / "tokens.npy"))
        self._place = {text: k for k, text in enumerate(texts)}
        return missing

    def maps(self, frames: Sequence[tuple[str, int]]) -> list[Tensor]:
        """Maps of (video, frame) pairs: per scale (F, C_s, h, w) float32."""
        count = len(self._maps[frames[0][0]])
        return [torch.from_numpy(np.stack([self._maps[v][s][f] for v, f in frames])) for s in range(count)]

    def text_tokens(self, texts: Sequence[str]) -> Tensor:
        """Tokens of sentences: (U, L, D) float32."""
        assert self._tokens is not None
        return self._tokens[[self._place[t] for t in texts]]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
