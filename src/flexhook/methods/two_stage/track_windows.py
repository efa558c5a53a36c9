"""The last T observations of every track of a stream, in tensors with one slot per track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FIRST_SLOTS = 8


@dataclass
class Windows:
    """The windows that end at the B observations of one frame.

    Attributes:
        slots: (B,) where each one's track is kept.
        frames: (B, T) index of each observation's frame.
        boxes: (B, T, 4) fractions of the frame.
        observed: Per scale (B, T, K, C) what is kept of the observations.
    """

    slots: np.ndarray
    frames: np.ndarray
    boxes: Tensor
    observed: list[Tensor]


class TrackWindows:
    """Windows as in the scoring of whole videos: T consecutive observations of a track, the first repeated at its begin.

    Memory grows with the number of tracks that are remembered at the same time, and with nothing else.

    Args:
        length: T.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.slot: dict[int, int] = {}  # identity -> slot
        self.last: dict[int, int] = {}  # identity -> frame of its last observation
        self._free: list[int] = []
        self._frames = np.zeros((0, length), np.int64)
        self._boxes: Tensor | None = None
        self._observed: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def capacity(self) -> int:
        """Number of slots, twice the largest number of tracks so far at most."""
        return len(self._frames)

    def push(self, frame: int, identities: Sequence[int], boxes: Tensor, observed: Sequence[Tensor]) -> Windows:
        """Take the observations of the next frame.

        Args:
            frame: Its index, larger than those before.
            identities: (B,), each once.
            boxes: (B, 4) fractions of the frame.
            observed: Per scale (B, K, C).
        """
        new = np.array([identity not in self.slot for identity in identities], bool)
        self._reserve(int(new.sum()), boxes, observed)
        for identity in identities:
            if identity not in self.slot:
                self.slot[identity] = self._free.pop()
            self.last[identity] = frame
        slots = np.array([self.slot[identity] for identity in identities], np.int64)
        frames = np.concatenate([self._frames[slots, 1:], np.full((len(slots), 1), frame)], 1)
        frames[new] = frame
        self._frames[slots] = frames
        assert self._boxes is not None
        at, begins = torch.from_numpy(slots).to(boxes.device), torch.from_numpy(new).to(boxes.device)
        moved = [_push(kept, at, begins, x) for kept, x in zip([self._boxes, *self._observed], [boxes, *observed], strict=True)]
        return Windows(slots, frames, moved[0], moved[1:])

    def forget(self, before: int) -> list[int]:
        """Forget the tracks whose last observation is earlier than a frame; returns the slots that they leave."""
        gone = [identity for identity, last in self.last.items() if last < before]
        left = []
        for identity in gone:
            del self.last[identity]
            left.append(self.slot.pop(identity))
        self._free += left
        return left

    def needed_frames(self) -> set[int]:
        """The frames that a later window looks at: those of the last T - 1 observations of every track."""
        return set(self._frames[list(self.slot.values()), 1:].ravel().tolist())

    def _reserve(self, count: int, boxes: Tensor, observed: Sequence[Tensor]) -> None:
        """Make room for ``count`` more tracks."""
        before = self.capacity
        if len(self._free) >= count and self._boxes is not None:
            return
        size = max(FIRST_SLOTS, 2 * before, before - len(self._free) + count)
        self._free += range(size - 1, before - 1, -1)
        self._frames = np.concatenate([self._frames, np.zeros((size - before, self.length), np.int64)])
        kept = [None] * (1 + len(observed)) if self._boxes is None else [self._boxes, *self._observed]
        grown = []
        for old, x in zip(kept, [boxes, *observed], strict=True):
            new = x.new_zeros(size, self.length, *x.shape[1:])
            if old is not None:
                new[:before] = old
            grown.append(new)
        self._boxes, self._observed = grown[0], grown[1:]


def _push(kept: Tensor, slots: Tensor, begins: Tensor, x: Tensor) -> Tensor:
    """Shift the windows in some slots by one observation: (slots, T, ...), (B,), (B,) bool, (B, ...) -> (B, T, ...)."""
    window = torch.cat([kept[slots, 1:], x[:, None]], 1)
    if bool(begins.any()):
        window[begins] = x[begins][:, None]
    kept[slots] = window
    return window
