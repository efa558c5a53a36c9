"""A video with its frames, its true trajectories and the expressions that refer to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from flexhook.structures.tracks import TrackSet

#: A frame number from here on is a mistake: ten hours at 30 frames per second, and every frame has an entry in lists.
MOST_FRAMES = 10**6


class Frames(ABC):
    """Where the pictures of a video come from: image files, a video file, or memory.

    Attributes:
        frame_rate: Frames per second; None where that is not known.
        sequential: Whether they are best read in order, by one thread at a time.
        path: The file that holds all frames, if one does.
        paths: The image files, one per frame; empty where frames have no files of their own.
    """

    frame_rate: float | None = None
    sequential: bool = False
    path: str | None = None
    paths: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abstractmethod
    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` (0-based) as (height, width, 3) uint8 RGB.

        Raises:
            flexhook.errors.InputError: The frame is missing or does not decode.
        """

    def name(self, index: int) -> str:
        """A name of the frame for messages: a path, or a path and an index."""
        return f"frame {index}"

    def seconds(self, index: int) -> float | None:
        """When frame ``index`` is shown, in seconds from the first one; None where that is not known."""
        return index / self.frame_rate if self.frame_rate else None

    def digest(self) -> str:
        """What tells frames in memory from others of their size and number; empty where files do.

        Nothing is cached of frames that have neither.
        """
        return ""

    def kept(self, index: int, size: tuple[int, int]) -> np.ndarray | None:
        """The frame at another size, (height, width, 3), where it was kept when it was read before; else None."""
        return None


@dataclass(frozen=True)
class Expression:
    """A sentence that refers to some observations of one video.

    Attributes:
        sentence: The sentence as it is given to the text encoder.
        slug: Its file name in the field's folders (without suffix), unique within its video.
        tags: Marks that its source gives it (``"unseen_combination"``), beside the attribute groups found from the words.
    """

    sentence: str
    slug: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Video:
    """One video in the form that every reader produces and everything else consumes.

    Attributes:
        name: Name within its dataset (``"0005"``).
        size: (height, width) of the original frame in pixels, the frame that boxes refer to; stored images may be smaller.
        frames: Source of the pictures, 0-based.
        truth: True trajectories; empty where there is no ground truth.
        expressions: The expressions of this video.
        labels: (len(truth), len(expressions)) boolean CSR matrix; True where the expression refers to the observation.
        source: Name of the dataset that the video is from, in a mixture of several; empty otherwise.
    """

    name: str
    size: tuple[int, int]
    frames: Frames
    truth: TrackSet
    expressions: tuple[Expression, ...]
    labels: csr_array
    source: str = ""

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def normalised(self, box: np.ndarray) -> np.ndarray:
        """Pixel boxes (..., 4) to fractions of this video's frame, not clipped."""
        height, width = self.size
        return box / np.array([width, height, width, height], dtype=np.float64)


def make_labels(rows: Sequence[int] | np.ndarray, columns: Sequence[int] | np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Sparse boolean (observation x expression) labels from the (row, column) pairs that are True; repeats are merged."""
    rows, columns = np.asarray(rows, np.int64).reshape(-1), np.asarray(columns, np.int64).reshape(-1)
    labels = csr_array((np.ones(len(rows), bool), (rows, columns)), shape=shape, dtype=bool)
    labels.sum_duplicates()
    return labels
