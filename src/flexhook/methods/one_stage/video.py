"""Whole videos and streams: every frame is encoded once, and all sentences track in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from flexhook.methods.one_stage.geometry import full_precision
from flexhook.methods.one_stage.network import OneStageNetwork
from flexhook.methods.one_stage.online import FrameRows, OnlineTracker, Thresholds, frame_rows
from flexhook.methods.one_stage.pictures import InferenceResize
from flexhook.structures import Expression, ExpressionResult, TrackSet


@dataclass
class Candidates:
    """The candidates of one sentence so far.

    Attributes:
        frame: Of each row.
        rows: Identity, box, refer probability, accepted, class score of each row: 8 columns.
    """

    frame: list[int] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)

    def add(self, frame: int, found: FrameRows) -> None:
        """Take a frame's candidates."""
        columns = torch.cat([
            found.identity[:, None].double(), found.box.double(), found.refer[:, None].double(),
            found.accepted[:, None].double(), found.score[:, None].double(),
        ], -1)[found.candidate]  # fmt: skip
        self.rows.append(columns.cpu().numpy())
        self.frame += [frame] * len(columns)

    def result(self, expression: Expression) -> ExpressionResult:
        """Tracks, refer probabilities and answers, sorted by frame and identity."""
        table = np.concatenate([np.zeros((0, 8)), *self.rows])
        frame = np.array(self.frame, np.int64)
        order = np.lexsort((table[:, 0], frame))
        table, frame = table[order], frame[order]
        tracks = TrackSet.build(frame, table[:, 0].astype(np.int64), table[:, 1:5], confidence=table[:, 7])
        return ExpressionResult(expression, tracks, np.clip(table[:, 5], 0, 1), table[:, 6] > 0)


class SentenceTrackers:
    """The tracks of several sentences in one sequence of frames.

    What no sentence has part in (the visual encoder and the projection of its maps) is computed once per frame.

    Args:
        network: The network, in evaluation mode.
        thresholds: When tracks begin, end and are output.
        resize: Makes frames of the network's size.
        size: (height, width) of the original frame.
        precision: Makes the context to compute in, such as autocast.
    """

    def __init__(
        self, network: OneStageNetwork, thresholds: Thresholds, resize: InferenceResize, size: tuple[int, int],
        precision: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self.network, self.thresholds, self.resize, self.size = network, thresholds, resize, size
        self.precision = precision
        self.trackers: dict[str, OnlineTracker] = {}

    @torch.no_grad()
    def add(self, sentence: str) -> None:
        """Track for one more sentence from the next frame on."""
        with self.precision():
            self.trackers[sentence] = OnlineTracker(self.network, self.network.encode_sentence(sentence), self.thresholds)

    @torch.no_grad()
    def update(self, image: np.ndarray) -> dict[str, FrameRows]:
        """The next frame, (h, w, 3) uint8 RGB: its rows by sentence."""
        with self.precision():
            pyramid = encode_picture(self.network, self.resize(image))
            survivors = {s: tracker.update(pyramid).survivors for s, tracker in self.trackers.items()}
        return {s: frame_rows(table, self.size, self.thresholds) for s, table in survivors.items()}


def encode_picture(network: OneStageNetwork, image: np.ndarray) -> Sequence[Tensor]:
    """The projected pyramid, per level (d, h, w), of a frame of the network's size, (h, w, 3) uint8 RGB."""
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    levels = network.encode_frames(tensor[None].to(network.query_embed.weight.device))
    return [full_precision(level[0]) for level in levels]


class OneStageStream:
    """Live use: see :class:`~flexhook.structures.method.Stream`.

    Args:
        trackers: The sentences' trackers.
        sentences: To begin with.
    """

    def __init__(self, trackers: SentenceTrackers, sentences: Sequence[str]) -> None:
        self.trackers, self.frame = trackers, 0
        for sentence in sentences:
            self.add(sentence)

    def update(self, frame: np.ndarray, tracks: TrackSet | None = None) -> Mapping[str, ExpressionResult]:
        """The answer for the next frame, by sentence; tracks are not looked at."""
        answers = {}
        for sentence, rows in self.trackers.update(frame).items():
            candidates = Candidates()
            candidates.add(self.frame, rows)
            answers[sentence] = candidates.result(Expression(sentence, sentence))
        self.frame += 1
        return answers

    def add(self, sentence: str) -> None:
        """Answer for one more sentence from the next frame on."""
        self.trackers.add(sentence)

    def remove(self, sentence: str) -> None:
        """Do not answer for a sentence any more."""
        del self.trackers.trackers[sentence]
