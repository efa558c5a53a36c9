"""The protocol of a method: a complete system of referring multi-object tracking, of any paradigm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from flexhook.errors import ConfigError
from flexhook.structures.protocols import Tracker
from flexhook.structures.results import ExpressionResult
from flexhook.structures.tracks import TrackSet
from flexhook.structures.video import Expression, Video


class LogitWriter(Protocol):
    """Takes the logits of all (observation, expression) pairs of one video in pieces; a context manager."""

    @property
    def written(self) -> np.ndarray:
        """(n,) bool: the observations that need not be scored any more."""
        ...

    def missing(self) -> list[tuple[int, int]]:
        """The ranges [start, stop) of observations that are not written yet, in order."""
        ...

    def write(self, start: int, logits: np.ndarray) -> None:
        """Take the logits of the observations [start, start + k): (k, E, 2), (no, yes), for the block's E expressions."""
        ...

    def finish(self) -> object:
        """Complete the file; all observations were written."""
        ...

    def __enter__(self) -> LogitWriter: ...

    def __exit__(self, *error: object) -> None: ...


class ResultWriter(Protocol):
    """Takes the results of a block of expressions of one video. What was written before an interruption is not asked again.

    A method uses one of two ways. With tracks of its own for every expression, or answers to some expressions at a time, it
    calls :meth:`write` for each of :meth:`missing`. If it scores all pairs of given tracks and expressions, it calls
    :meth:`pairs`, and the file takes the compact form of logits.
    """

    def missing(self) -> tuple[Expression, ...]:
        """The expressions without results, in the order of the block."""
        ...

    def write(self, expression: Expression, tracks: TrackSet, score: np.ndarray, accepted: np.ndarray) -> None:
        """Take the result of one expression.

        Args:
            expression: One of :meth:`missing`.
            tracks: All n candidates, with identities of this expression's own and categories that all expressions share.
            score: (n,) floats in [0, 1], in the order of the tracks' rows.
            accepted: (n,) bool.
        """
        ...

    def pairs(self, tracks: TrackSet, smoothing: int = 0) -> LogitWriter:
        """A writer of the logits of all (observation, expression) pairs.

        Args:
            tracks: The n observations that are scored, the same for all blocks of the video.
            smoothing: Observations on either side that logits are averaged with along their tracks; 0 for none.
        """
        ...


@dataclass(frozen=True)
class PredictionReport:
    """What the prediction of one block took.

    Attributes:
        frames: Frames that were computed, 0 where all results were there before.
        text: In words, for the log.
    """

    frames: int = 0
    text: str = ""


class Stream(Protocol):
    """Live use of a method: one frame at a time, expressions may come and go."""

    def update(self, frame: np.ndarray, tracks: TrackSet | None = None) -> Mapping[str, ExpressionResult]:
        """The answer for the next frame, by sentence.

        Args:
            frame: (height, width, 3) uint8 RGB.
            tracks: The frame's tracks, for methods that score given ones; their frame indices are not looked at.

        Returns:
            Sentence -> result, whose tracks are in the frame with the number of frames before this one.

        Raises:
            flexhook.errors.InputError: The frame is not of the stream's size, or its tracks are missing or malformed. The
                stream is as before.
        """
        ...

    def add(self, sentence: str) -> None:
        """Answer for one more sentence from the next frame on.

        Raises:
            flexhook.errors.ConfigError: It is empty, or answered already.
        """
        ...

    def remove(self, sentence: str) -> None:
        """Do not answer for a sentence any more.

        Raises:
            flexhook.errors.ConfigError: It is not answered.
        """
        ...


class Method(ABC):
    """What training, inference and evaluation know of a method. One class and one yaml of the group ``method`` make one.

    Attributes:
        name: Name of the method.
        monitor: The validation metric that chooses its checkpoints.
        mode: ``"max"`` where a larger value of it is better, else ``"min"``.
        keeps_rejected: Whether its results hold candidates that it did not accept; only then oracle and accept-all exist.
        needs_tracks: Whether it scores the tracks of a tracker; else it finds its objects itself.
        needs_training: Whether it answers only after a training, from a checkpoint; else its class alone makes it.
        tracker: That tracker, set before it predicts; None where there is none.
        image_size: (height, width) that every frame is resized to for its network; None where that depends on the video.
        module: Its LightningModule: what is trained and what checkpoints hold.
        parts: The parts of a checkpoint's configuration that :meth:`from_config` builds with ``pretrained``. They are checked
            before, see :func:`flexhook.configuration.trust.check_parts`.
    """

    name: str = ""
    monitor: str = "val/F1"
    mode: str = "max"
    keeps_rejected: bool = True
    needs_tracks: bool = False
    needs_training: bool = True
    tracker: Tracker | None = None
    image_size: tuple[int, int] | None = None
    module: Any
    parts: Sequence[str] = ("model",)

    @classmethod
    @abstractmethod
    def from_config(cls, cfg: Any, pretrained: Sequence[str] | None = None) -> Method:
        """Build a method.

        Args:
            cfg: The composed configuration; its own part is ``cfg.method``.
            pretrained: Names of the parts (see :meth:`frozen_parts`) that need their pretrained weights, since a checkpoint
                will not bring them; None for all, in a training. Otherwise only :attr:`parts` are built.
        """

    @property
    def network(self) -> Any:
        """The network itself, whose parameters are counted; by default the whole module."""
        return self.module

    def frozen_parts(self) -> dict[str, Any]:
        """Parts that no step changes, by their name in the module: checkpoints name them instead of holding their weights."""
        return {}

    @abstractmethod
    def train_items(self, videos: Sequence[Video], seed: int) -> Any:
        """Training items, with ``__len__`` and ``__getitem__((epoch, index))``."""

    @abstractmethod
    def val_items(self, videos: Sequence[Video]) -> Any:
        """Validation items, with ``__len__`` and ``__getitem__(index)``."""

    @abstractmethod
    def collator(self, split: str, videos: Sequence[Video]) -> Callable[[Sequence[Any]], Any]:
        """What makes a batch of a list of items; it is sent to loading processes.

        Args:
            split: ``"train"`` or ``"val"``.
            videos: The videos of the items.
        """

    def fill_caches(self, videos: Sequence[Video]) -> None:  # noqa: B027  nothing to do by default
        """Fill caches on disk before training; one process of each machine is asked to."""

    def prepare_training(self, trainer: Any, videos: Sequence[Video]) -> None:  # noqa: B027
        """Compute what training needs once, e.g. features of frozen parts; every process is asked to.

        Args:
            trainer: The Lightning trainer.
            videos: Training and validation videos.
        """

    def describe_items(self, items: Any) -> str:
        """The validation items in words, for the log."""
        return f"{len(items)} validation items"

    def prepare_inference(self, cfg: Any, device: Any, reader: Any) -> None:
        """Get ready to predict on a device.

        Args:
            cfg: The configuration, with the options of scoring.
            device: A ``torch.device``.
            reader: The dataset's reader, for what is fitted on the training videos; None where there is none.
        """
        self.module.eval().to(device)

    def key(self) -> str:
        """What makes the results, as a text: weights and settings. Results of another key are not taken over."""
        return ""

    @abstractmethod
    def predict(self, video: Video, expressions: Sequence[Expression], writer: ResultWriter) -> PredictionReport | None:
        """Answer expressions of a whole video.

        Args:
            video: The video; its truth and labels are not looked at.
            expressions: The expressions of a block.
            writer: Takes the results and says which ones are missing.
        """

    def write_extras(  # noqa: B027
        self, folder: Path, expressions: Mapping[str, Sequence[Expression]], kept: Sequence[str] = ()
    ) -> None:
        """Leave further files beside the results; the first process is asked to, at the end.

        Args:
            folder: The folder of results.
            expressions: The expressions of each video that was asked for.
            kept: Sentences of other videos whose results stay in the folder.
        """

    def stream(self, expressions: Sequence[str], frame_size: tuple[int, int]) -> Stream:
        """Begin to answer expressions frame by frame, after :meth:`prepare_inference`.

        Args:
            expressions: Sentences.
            frame_size: (height, width) of the frames.

        Raises:
            ConfigError: The method does not work on streams.
        """
        raise ConfigError(f"the method {self.name} does not work frame by frame", expected="a method with streams")
