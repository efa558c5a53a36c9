"""Items to batches: each frame and each sentence once, identities swapped, pictures loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from flexhook.media.frame_wrappers import read_resized
from flexhook.media.image_cache import ImageCache
from flexhook.methods.two_stage.feature_cache import FeatureCache
from flexhook.methods.two_stage.referring_model import WindowBatch
from flexhook.sampling.items import Item, stream
from flexhook.structures import Video

Swap = Callable[[int, int, np.random.Generator], list[tuple[int, int]]]


class FrameLoader:
    """Frames of videos, resized for the model.

    Args:
        videos: The videos.
        image_size: (height, width) the model sees.
        keep: Keep resized frames in memory (per process) once they are decoded.
        cache: Take the frames from this cache, which was filled for these videos.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        image_size: tuple[int, int],
        keep: bool = False,
        cache: ImageCache | None = None,
    ) -> None:
        self.videos, self.image_size = videos, (int(image_size[0]), int(image_size[1]))
        self.cached = None if cache is None else [cache.open(video) for video in videos]
        self.kept: dict[tuple[int, int], np.ndarray] | None = {} if keep else None

    def load(self, video: int, frame: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of one frame.

        Raises:
            InputError: The image is missing, does not decode or has another aspect ratio than its video.
        """
        if self.cached is not None and frame in self.cached[video]:
            return self.cached[video].read(frame)
        if self.kept is not None and (video, frame) in self.kept:
            return self.kept[video, frame]
        image = read_resized(self.videos[video], frame, self.image_size)
        if self.kept is not None:
            self.kept[video, frame] = image
        return image


@dataclass
class Sentences:
    """All sentences of some videos, tokenised once; identical sentences are one.

    Attributes:
        texts: The U unique sentences.
        ids: (U, L) int64.
        mask: (U, L) bool.
        of_video: Per video (E,) int64, the sentence of each of its expressions.
    """

    texts: list[str]
    ids: torch.Tensor
    mask: torch.Tensor
    of_video: list[np.ndarray]

    @classmethod
    def of(cls, videos: Sequence[Video], tokenize: Callable) -> Sentences:
        """Collect and tokenise."""
        place: dict[str, int] = {}
        of_video = [
            np.array([place.setdefault(e.sentence, len(place)) for e in video.expressions], np.int64) for video in videos
        ]
        ids, mask = tokenize(list(place) or [""])
        return cls(list(place), ids, mask, of_video)


class Collator:
    """Makes one :class:`WindowBatch` of a list of items.

    Args:
        frames: Loads pictures.
        sentences: Token ids of all sentences.
        swap: The identity swap, or None (validation).
        features: Cached feature maps and text tokens; None to load pictures and token ids.
        with_images: Load the pictures also where their maps are cached.
    """

    def __init__(
        self,
        frames: FrameLoader,
        sentences: Sentences,
        swap: Swap | None = None,
        features: FeatureCache | None = None,
        with_images: bool = False,
    ) -> None:
        self.frames, self.sentences, self.swap, self.features = frames, sentences, swap, features
        self.with_images = with_images

    def __call__(self, items: Sequence[Item]) -> WindowBatch:
        """Collate; items without own expressions (validation) must come one at a time."""
        frame = np.concatenate([i.frame for i in items])  # (B, T)
        video = np.concatenate([np.full(i.frame.shape, i.video) for i in items])
        box = np.concatenate([i.box for i in items])  # (B, T, 4)
        where = np.stack([video, frame], -1)  # (B, T, 2)
        if self.swap is not None:
            for a, b in self.swap(frame.shape[0], frame.shape[1], stream(items[0].key, 1)):
                for column in (where.reshape(-1, 2), box.reshape(-1, 4)):
                    column[[a, b]] = column[[b, a]]
        needed, index = np.unique(where.reshape(-1, 2), axis=0, return_inverse=True)

        own = [i.expression for i in items]
        if own[0] is None or own[0].ndim == 1:
            if len(items) > 1:
                raise ValueError("items whose windows hear the same expressions come one at a time")
            named = self.sentences.of_video[items[0].video]
            used, expression = named if own[0] is None else named[own[0]], None
        else:
            sentence = np.concatenate([self.sentences.of_video[i.video][i.expression] for i in items])  # (B, N)
            used, place = np.unique(sentence, return_inverse=True)
            expression = torch.from_numpy(place.reshape(sentence.shape))
        chosen = torch.from_numpy(used)
        batch = WindowBatch(
            frame=torch.from_numpy(index.reshape(frame.shape)),
            boxes=torch.from_numpy(box).float(),
            mask=self.sentences.mask[chosen],
            expression=expression,
            labels=torch.from_numpy(np.concatenate([i.label for i in items])),
        )
        if self.features is not None and self.features.has_text:
            batch.tokens = self.features.text_tokens([self.sentences.texts[k] for k in used])
        else:
            batch.ids = self.sentences.ids[chosen]
        if self.features is not None and self.features.has_maps:
            batch.maps = self.features.maps([(self.frames.videos[v].name, int(f)) for v, f in needed])
        if batch.maps is None or self.with_images:
            pictures = np.stack([self.frames.load(int(v), int(f)) for v, f in needed])
            batch.images = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
        return batch
