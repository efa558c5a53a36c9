"""The LightningDataModule of all methods: videos to batches, by the items and the collate function of the method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import lightning as L
import torch
from torch.utils.data import DataLoader, get_worker_info

from flexhook.errors import FlexHookError, InputError
from flexhook.structures import Video
from flexhook.training.epoch_sampler import EpochBatchSampler


class ItemSource(Protocol):
    """What makes items of videos and batches of items; every :class:`~flexhook.structures.method.Method` is one."""

    def train_items(self, videos: Sequence[Video], seed: int) -> Any:
        """Training items, with ``__len__`` and ``__getitem__((epoch, index))``."""
        ...

    def val_items(self, videos: Sequence[Video]) -> Any:
        """Validation items, with ``__len__`` and ``__getitem__(index)``."""
        ...

    def collator(self, split: str, videos: Sequence[Video]) -> Callable[[Sequence[Any]], Any]:
        """What makes a batch of a list of items of ``split`` (``"train"`` or ``"val"``)."""
        ...

    def fill_caches(self, videos: Sequence[Video]) -> None:
        """Fill caches on disk; one process of each machine is asked to."""
        ...


class VideoDataModule(L.LightningDataModule):
    """Batches of training and validation videos.

    Args:
        source: Makes items and batches, as a rule the method.
        train: Training videos.
        val: Validation videos; may be empty.
        batch_size: Training items per step and process.
        num_workers: Loading processes; results do not depend on it.
        seed: Seed of order and noise.
    """

    def __init__(
        self,
        source: ItemSource,
        train: Sequence[Video],
        val: Sequence[Video],
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.source, self.train_videos, self.val_videos = source, list(train), list(val)
        self.train_items = source.train_items(self.train_videos, seed)
        self.val_items = source.val_items(self.val_videos)
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed

    def prepare_data(self) -> None:
        """Let the source fill its caches; one process of each machine is asked to."""
        self.source.fill_caches(self.train_videos + self.val_videos)

    def train_dataloader(self) -> DataLoader:
        """Batches of the current epoch."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EpochBatchSampler(len(self.train_items), self.batch_size, self.seed, rank, world_size)
        if self.trainer:  # not current_epoch: where a run resumes, that still counts the finished epoch as the current one
            sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return self._loader(self.train_items, self.source.collator("train", self.train_videos), sampler)

    def val_dataloader(self) -> DataLoader | list:
        """Every validation item once, over all processes together."""
        if not len(self.val_items):
            return []
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        mine = [[k] for k in range(rank, len(self.val_items), world_size)] or [[]]  # every process has a batch
        return self._loader(self.val_items, self.source.collator("val", self.val_videos), mine)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Raise what a worker found wrong."""
        if isinstance(batch, FlexHookError):
            raise batch
        return batch

    def _loader(self, items: Any, collator: Callable[[Sequence[Any]], Any], batch_sampler: Any) -> DataLoader:
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


class SafeCollator:
    """A collator for loading processes, whose exceptions would reach the main one without their class: it hands errors back.

    Args:
        collator: Makes the batches.
    """

    def __init__(self, collator: Callable[[Sequence[Any]], Any]) -> None:
        self.collator = collator

    def __call__(self, items: Sequence[Any]) -> Any:
        """The batch; in a loading process the error in its place; None of no items (a process without a share)."""
        if not items:
            return None
        try:
            return self.collator(items)
        except FlexHookError as error:
            if get_worker_info() is None:
                raise
            return error


def require_videos(videos: Sequence[Video], split: str) -> Sequence[Video]:
    """Refuse a split without videos."""
    if not videos:
        raise InputError(f"the split '{split}' has no videos", expected="at least one video name",
                         hint=f"Set data.reader.splits.{split}")
    return videos
