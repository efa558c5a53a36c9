"""The LightningDataModule: datasets to batches of windows, with tracking noise on the training side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from flexhook.errors import FlexHookError, InputError
from flexhook.media.image_cache import ImageCache
from flexhook.methods.two_stage.collate import Collator, FrameLoader, SafeCollator, Sentences
from flexhook.methods.two_stage.feature_cache import FeatureCache, visual_settings
from flexhook.methods.two_stage.network import WindowBatch
from flexhook.sampling.items import ValidationItems
from flexhook.structures import Video
from flexhook.training.checkpoints import weights_fingerprint
from flexhook.training.epoch_sampler import EpochBatchSampler

log = logging.getLogger(__name__)


class ReferringDataModule(L.LightningDataModule):
    """Windows of training and validation videos.

    Args:
        train: Training videos.
        val: Validation videos; may be empty.
        items: Makes the training items from ``videos`` and ``seed``: a partial of
            :class:`~flexhook.sampling.items.WindowItems` or :class:`~flexhook.sampling.items.ClipItems`.
        val_items: Makes the validation items from ``videos``: a partial of
            :class:`~flexhook.sampling.items.ValidationItems`.
        swap: Identity swap between the windows of a training batch.
        tokenize: The text encoder's tokeniser.
        image_size: (height, width) the model sees.
        batch_size: Training items per step and process.
        num_workers: Loading processes; results do not depend on it.
        seed: Seed of order and noise.
        keep_images: Keep resized images in each worker's memory.
        features: A feature cache to use in place of pictures and token ids.
        image_cache: Folder in which resized images are kept for this and later runs; None decodes them every time.
    """

    def __init__(
        self,
        train: Sequence[Video],
        val: Sequence[Video],
        items: Callable,
        val_items: Callable[..., ValidationItems],
        swap: Callable,
        tokenize: Callable,
        image_size: tuple[int, int],
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        keep_images: bool = False,
        features: FeatureCache | None = None,
        image_cache: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.train_videos, self.val_videos = list(train), list(val)
        self.train_items = items(videos=self.train_videos, seed=seed)
        self.val_items = val_items(videos=self.val_videos)
        self.swap, self.image_size, self.keep_images = swap, (int(image_size[0]), int(image_size[1])), keep_images
        self.batch_size, self.num_workers, self.seed, self.features = batch_size, num_workers, seed, features
        self.with_images = False
        self.image_cache = None if image_cache is None else ImageCache(image_cache, self.image_size)
        self.sentences = {
            "train": Sentences.of(self.train_videos, tokenize), "val": Sentences.of(self.val_videos, tokenize)
        }

    def fill_features(
        self, model: Any, folder: str | Path, visual: bool, text: bool, share: tuple[int, int] = (0, 1),
        precision: str = "32-true", context: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        """Compute (or open) what frozen encoders give for all frames and sentences of this module.

        Args:
            model: The referring model; its encoders must be in evaluation mode.
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
            videos = list({video.name: video for video in self.train_videos + self.val_videos}.values())
            begin = len(videos) * share[0] // share[1]
            for video in videos[begin:] + videos[:begin]:
                with torch.no_grad(), context():
                    computed = self.features.fill_maps(
                        video, key, partial(FrameLoader([video], self.image_size).load, 0),
                        lambda images: model.encode_frames(images.to(device)),
                        batch=1 if device.type == "cpu" else 16,  # one fits a CPU's caches
                    )
                if computed:
                    log.info(f"cached the features of {video.name}: {video.num_frames} frames")
        if text:
            every = list(dict.fromkeys(self.sentences["train"].texts + self.sentences["val"].texts))
            ids, mask = (
                torch.cat([getattr(self.sentences[s], name) for s in ("train", "val")]) for name in ("ids", "mask")
            )
            texts = self.sentences["train"].texts + self.sentences["val"].texts
            first = [texts.index(t) for t in every]
            with torch.no_grad(), context():
                self.features.fill_text(every, weights_fingerprint(model.text) + precision, ids[first], mask[first],
                                        lambda i, m: model.text(i.to(device), m.to(device)))

    @property
    def loads_images(self) -> bool:
        """Whether batches hold pictures: always, but where feature maps take their place."""
        return self.with_images or self.features is None or not self.features.has_maps

    def prepare_data(self) -> None:
        """Fill the cache of resized images, where there is to be one; one process of each machine is asked to."""
        if self.image_cache is None or not self.loads_images:
            return
        for video in self.train_videos + self.val_videos:
            if self.image_cache.fill(video, partial(FrameLoader([video], self.image_size).load, 0)):
                log.info(f"cached the resized images of {video.name}")

    def train_dataloader(self) -> DataLoader:
        """Batches of the current epoch."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EpochBatchSampler(len(self.train_items), self.batch_size, self.seed, rank, world_size)
        if self.trainer:  # not current_epoch: where a run resumes, that still counts the finished epoch as the current one
            sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        frames = self._frames(self.train_videos)
        return self._loader(self.train_items, self._collator("train", frames, self.swap),
                            batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader | list:
        """Every validation item once, over all processes together."""
        if not len(self.val_items):
            return []
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        frames = self._frames(self.val_videos)
        mine = [[k] for k in range(rank, len(self.val_items), world_size)] or [[]]  # every process has a batch
        return self._loader(self.val_items, self._collator("val", frames),
                            batch_sampler=mine)

    def on_before_batch_transfer(self, batch: WindowBatch | FlexHookError | None, dataloader_idx: int) -> Any:
        """Raise what a worker found wrong."""
        if isinstance(batch, FlexHookError):
            raise batch
        return batch

    def _frames(self, videos: Sequence[Video]) -> FrameLoader:
        return FrameLoader(videos, self.image_size, self.keep_images, self.image_cache if self.loads_images else None)

    def _collator(self, split: str, frames: FrameLoader, swap: Callable | None = None) -> Collator:
        return Collator(frames, self.sentences[split], swap, self.features, self.with_images)

    def _loader(self, items, collator: Collator, batch_sampler) -> DataLoader:
        return DataLoader(
            items,
            batch_sampler=batch_sampler,
            collate_fn=SafeCollator(collator),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            generator=torch.Generator(),  # an iterator draws a seed when it is made; dropout's stream stays untouched
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context="spawn" if self.num_workers and torch.cuda.is_available() else None,
        )


def require_videos(videos: Sequence[Video], split: str) -> Sequence[Video]:
    """Refuse a split without videos."""
    if not videos:
        raise InputError(f"the split '{split}' has no videos", expected="at least one video name",
                         hint=f"Set data.reader.splits.{split}")
    return videos
