"""What two-stage methods train on: windows of videos as batches, from pictures or from cached features."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.media.image_cache import ImageCache
from flexhook.methods.two_stage.collate import Collator, FrameLoader, Sentences
from flexhook.methods.two_stage.feature_cache import FeatureCache, visual_settings
from flexhook.sampling.items import TrainingItems
from flexhook.structures import Video

log = logging.getLogger(__name__)


class WindowData:
    """Makes items of windows and batches of them.

    Args:
        items: Makes the training items from ``videos`` and ``seed``: a partial of
            :class:`~flexhook.sampling.items.WindowItems` or :class:`~flexhook.sampling.items.ClipItems`.
        val_items: Makes the validation items from ``videos``: a partial of
            :class:`~flexhook.sampling.items.ValidationItems`.
        swap: Identity swap between the windows of a training batch.
        tokenize: The text encoder's tokeniser.
        image_size: (height, width) of the pictures.
        keep_images: Keep resized images in each worker's memory.
        image_cache: Folder in which resized images are kept for this and later runs; None decodes them every time.
    """

    def __init__(
        self,
        items: Callable[..., TrainingItems],
        val_items: Callable,
        swap: Callable,
        tokenize: Callable,
        image_size: tuple[int, int],
        keep_images: bool = False,
        image_cache: str | Path | None = None,
    ) -> None:
        self.items, self._val_items, self.swap, self.tokenize = items, val_items, swap, tokenize
        self.image_size, self.keep_images = (int(image_size[0]), int(image_size[1])), keep_images
        self.image_cache = None if image_cache is None else ImageCache(image_cache, self.image_size)
        self.features: FeatureCache | None = None
        self.with_images = False

    def train_items(self, videos: Sequence[Video], seed: int) -> TrainingItems:
        """Training items of windows."""
        return self.items(videos=videos, seed=seed)

    def val_items(self, videos: Sequence[Video]) -> Any:
        """Validation items of windows."""
        return self._val_items(videos=videos)

    def collator(self, split: str, videos: Sequence[Video]) -> Collator:
        """What makes a ``WindowBatch`` of items; identities swap in training."""
        cache = self.image_cache if self.loads_images else None
        frames = FrameLoader(videos, self.image_size, self.keep_images, cache)
        sentences = Sentences.of(videos, self.tokenize)
        return Collator(frames, sentences, self.swap if split == "train" else None, self.features, self.with_images)

    def fill_caches(self, videos: Sequence[Video]) -> None:
        """Fill the cache of resized images, where there is to be one."""
        if self.image_cache is None or not self.loads_images:
            return
        for video in videos:
            if self.image_cache.fill(video, partial(FrameLoader([video], self.image_size).load, 0)):
                log.info(f"cached the resized images of {video.name}")

    @property
    def loads_images(self) -> bool:
        """Whether batches hold pictures: always, but where feature maps take their place."""
        return self.with_images or self.features is None or not self.features.has_maps

    def fill_features(
        self, model: Any, videos: Sequence[Video], folder: str | Path, visual: bool, text: bool,
        share: tuple[int, int] = (0, 1), precision: str = "32-true",
        context: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        """Compute (or open) what frozen encoders give for all frames and sentences of videos.

        Args:
            model: The referring model; its encoders must be in evaluation mode.
            videos: Training and validation videos.
            folder: The cache's folder.
            visual: The visual encoder is frozen: cache its maps.
            text: The text encoder is frozen: cache its tokens.
            share: (rank, number of processes). Each process begins with other videos and finds done what others did.
            precision: Name of the precision of training, in which features are computed too.
            context: Makes the context in which a forward pass of that precision runs.
        """
        self.features, self.with_images = FeatureCache(folder, visual, text), model.needs_images
        device = next(model.parameters()).device
        if visual:
            encoder = model.visual
            key = f"{weights_fingerprint(encoder)}{self.image_size}{visual_settings(encoder)}{precision}"
            unique = list({video.name: video for video in videos}.values())
            begin = len(unique) * share[0] // share[1]
            for video in unique[begin:] + unique[:begin]:
                with torch.no_grad(), context():
                    computed = self.features.fill_maps(
                        video, key, partial(FrameLoader([video], self.image_size).load, 0),
                        lambda images: model.encode_frames(images.to(device)),
                        batch=1 if device.type == "cpu" else 16,  # one fits a CPU's caches
                    )
                if computed:
                    log.info(f"cached the features of {video.name}: {video.num_frames} frames")
        if text:
            sentences = Sentences.of(videos, self.tokenize)
            with torch.no_grad(), context():
                self.features.fill_text(
                    sentences.texts, weights_fingerprint(model.text) + precision, sentences.ids, sentences.mask,
                    lambda i, m: model.text(i.to(device), m.to(device)),
                )
