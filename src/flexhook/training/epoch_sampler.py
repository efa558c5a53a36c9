"""The order of training batches: the same for any number of processes and workers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flexhook.errors import ConfigError


class EpochBatchSampler:
    """Batches of (epoch, index) pairs, a new permutation every epoch.

    A step takes ``batch_size * world_size`` consecutive items of the permutation; each process takes its part, so that
    two processes with batches of b see what one process with batches of 2b sees. The incomplete last step is left out.

    Args:
        num_items: Items of the dataset.
        batch_size: Items per step and process.
        seed: Seed of the permutations.
        rank: Index of this process.
        world_size: Number of processes.

    Raises:
        ConfigError: Fewer items than one step needs.
    """

    def __init__(self, num_items: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        if num_items < batch_size * world_size:
            raise ConfigError(
                f"the training set has {num_items} items, one step needs {batch_size} on each of {world_size} processes",
                expected="at least one full step", hint="Lower sampling.batch_size or add data",
            )
        self.num_items, self.batch_size, self.seed = num_items, batch_size, seed
        self.rank, self.world_size, self.epoch = rank, world_size, 0

    @property
    def sampler(self) -> EpochBatchSampler:
        """Itself: Lightning calls ``set_epoch`` on a batch sampler's ``sampler`` when an epoch begins."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_items // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch, 7]).permutation(self.num_items)
        step = self.batch_size * self.world_size
        for k in range(len(self)):
            mine = order[k * step + self.rank * self.batch_size :][: self.batch_size]
            yield [(self.epoch, int(i)) for i in mine]
