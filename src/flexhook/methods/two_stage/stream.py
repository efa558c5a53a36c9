"""Two-stage referring frame by frame: the scores of whole videos, as far as they depend on the past alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexhook.errors import ConfigError, InputError
from flexhook.media.images import check_shape, resize
from flexhook.methods.two_stage.engine import ScoringEngine, mean_word
from flexhook.methods.two_stage.frame_maps import FrameMaps
from flexhook.methods.two_stage.track_windows import TrackWindows, Windows
from flexhook.structures import Expression, ExpressionResult, PairResults, TrackSet
from flexhook.structures.slugs import unique_slugs

FORGET_AFTER = 150


@dataclass
class _KeptFrame:
    """What a frame contributes to windows of later frames."""

    maps: FrameMaps | None  # for sentences that are added later; None where the model looks at nothing
    looked: list[Tensor] = field(default_factory=list)  # per scale (u, M, C), of the first u sentences
    count: int = 0  # u


class TwoStageStream:
    """Scores the tracks of one frame after the other against sentences that may come and go.

    Every frame with tracks is encoded once. Of a track its last T observations are kept, of a frame its maps as long as a
    track's next window may look at it: a sentence that is added is answered as if it had been there from the first frame on,
    and no frame is encoded again. A frame's answers are those of whole videos with the same tracks, without smoothing.

    Args:
        engine: The engine that whole videos are scored with; its smoothing, which looks ahead, is not used.
        sentences: The first sentences.
        frame_size: (height, width) in pixels, of the frame that boxes refer to.
        forget_after: Frames after which a track that was not seen is forgotten; one that comes back later begins anew. A
            larger number costs memory: the maps of up to T - 1 frames of every track that is remembered.
        smoothing: Earlier observations of its track that an observation's logits are averaged with. A larger number steadies
            decisions and delays them.

    Attributes:
        sentences: The sentences that are answered now, in the order of the answers.
        frames: Frames taken so far.
    """

    def __init__(
        self,
        engine: ScoringEngine,
        sentences: Sequence[str],
        frame_size: tuple[int, int],
        forget_after: int = FORGET_AFTER,
        smoothing: int = 0,
    ) -> None:
        if forget_after < 1 or smoothing < 0:
            raise ConfigError(f"forget_after is {forget_after} and smoothing {smoothing}",
                              expected="forget_after of 1 or more frames, smoothing of 0 or more observations")
        height, width = frame_size
        self.engine, self.model, self.size = engine, engine.model, (int(height), int(width))
        self.forget_after = forget_after
        self.sentences: list[str] = []
        self.frames = 0
        self._expressions: list[Expression] = []
        self._state: Any = None  # of the sentences, as the model prepares them
        self._shift = torch.zeros(0, device=engine.device)  # of a calibration
        self._windows = TrackWindows(self.model.num_frames)
        self._kept: dict[int, _KeptFrame] = {}
        self._looks = True  # whether the model looks at frames for sentences
        self._mean = _BackwardMean(smoothing + 1)
        self._add(list(sentences))

    def add(self, sentence: str) -> None:
        """Answer for one more sentence from the next frame on.

        Raises:
            ConfigError: It is empty, or answered already.
        """
        self._add([sentence])

    @torch.inference_mode()
    def _add(self, sentences: Sequence[str]) -> None:
        stripped = [_stripped(sentence) for sentence in sentences]
        for k, sentence in enumerate(stripped):
            if sentence in self.sentences or sentence in stripped[:k]:
                raise ConfigError(f"the sentence “{sentence}” is given twice", expected="each sentence once")
        if not stripped:
            return
        with self.engine.autocast():
            encoded = self.model.encode_expressions(*(x.to(self.engine.device) for x in self.engine.tokenize(stripped)))
            state = self.model.prepare_sentences(*encoded)
        if self.engine.calibration:
            self._shift = torch.cat([self._shift, self.engine.calibration(mean_word(*encoded))])
        self._state = state if self._state is None else self._state.join(state)
        names = unique_slugs(stripped, [e.slug for e in self._expressions])
        self._expressions += [Expression(text, name) for text, name in zip(stripped, names, strict=True)]
        self.sentences += stripped
        self._mean.add_columns(len(stripped))

    @torch.inference_mode()
    def remove(self, sentence: str) -> None:
        """Do not answer for a sentence any more.

        Raises:
            ConfigError: It is not answered.
        """
        sentence = _stripped(sentence)
        if sentence not in self.sentences:
            raise ConfigError(f"the sentence “{sentence}” is not answered", expected=f"one of {self.sentences}")
        column = self.sentences.index(sentence)
        rows = [k for k in range(len(self.sentences)) if k != column]
        index = torch.tensor(rows, dtype=torch.int64, device=self.engine.device)
        self._state = self._state.keep(index) if rows else None
        if self.engine.calibration:
            self._shift = self._shift[index]
        for kept in self._kept.values():
            if column < kept.count:
                kept.looked = [x[index[: kept.count - 1]] for x in kept.looked]
                kept.count -= 1
        del self.sentences[column], self._expressions[column]
        self._mean.remove_column(column)

    @torch.inference_mode()
    def update(self, frame: np.ndarray, tracks: TrackSet | None = None) -> dict[str, ExpressionResult]:
        """The answer for the next frame.

        Args:
            frame: (height, width, 3) uint8 RGB; of another size than the boxes' frame, with its aspect ratio, where it was
                resized.
            tracks: The frame's tracks, boxes in pixels of the frame that boxes refer to. Its frame indices are not looked at.

        Returns:
            Sentence -> result, of which the tracks are those given; their frame is the number of frames before this one.

        Raises:
            InputError: The frame is no picture of the stream's aspect ratio, an identity occurs twice, or there are no tracks.
        """
        if tracks is None:
            raise InputError("a frame without tracks", expected="the frame's tracks, of which there may be none",
                             hint="Give the boxes and identities of a tracker")
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            found = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise InputError(f"the frame is {found}", expected="an array (height, width, 3) of uint8, RGB")
        check_shape(frame.shape, self.size, f"frame {self.frames}")
        if len(np.unique(tracks.identity)) < len(tracks):
            raise InputError("an identity occurs twice in the frame", expected="each identity once")
        index, self.frames = self.frames, self.frames + 1
        tracks = replace(tracks, frame=np.full(len(tracks), index, np.int64))
        for slot in self._windows.forget(index - self.forget_after):
            self._mean.forget(slot)
        logits = np.zeros((0, len(self.sentences), 2), np.float32)
        if len(tracks):
            windows = self._observe(index, frame, tracks)
            if self.sentences:
                logits = self._mean(windows.slots, self._judge(windows))
            else:
                logits = np.zeros((len(tracks), 0, 2), np.float32)
        needed = self._windows.needed_frames()
        self._kept = {k: kept for k, kept in self._kept.items() if k in needed}
        return {result.expression.sentence: result for result in PairResults("stream", tracks, self._expressions, logits)}

    def _observe(self, index: int, frame: np.ndarray, tracks: TrackSet) -> Windows:
        """Encode a frame and sample it inside the boxes."""
        device, (height, width) = self.engine.device, self.size
        picture = torch.tensor(resize(frame, self.engine.image_size)).permute(2, 0, 1)[None].to(device)
        boxes = torch.from_numpy(tracks.box / np.array([width, height, width, height])).float().to(device)
        with self.engine.autocast():
            maps = FrameMaps.from_maps(self.engine.encode_frames(picture), picture)
            observed = self.model.observe(maps, torch.zeros(len(boxes), dtype=torch.int64, device=device), boxes)
        self._kept[index] = _KeptFrame(FrameMaps(maps.rows, maps.shapes) if self._looks else None)
        return self._windows.push(index, tracks.identity.tolist(), boxes, observed)

    def _judge(self, windows: Windows) -> np.ndarray:
        """(B, U, 2) logits of windows."""
        groups, member = np.unique(windows.frames, axis=0, return_inverse=True)
        with self.engine.autocast():
            seen = {k: self._look(k) for k in np.unique(groups).tolist()}
            means = [[torch.stack(maps).mean(0) for maps in zip(*(seen[k] for k in frames), strict=True)]
                     for frames in groups.tolist()]
            if len(groups) == 1:
                looked, group = means[0], None
            else:
                looked = [torch.stack(scale) for scale in zip(*means, strict=True)]
                group = torch.from_numpy(member.reshape(-1)).to(self.engine.device)
            logits = self.model.judge(
                windows.boxes, windows.observed, looked, self._state, self.engine.max_pairs, group
            )
        if self.engine.calibration:
            logits = logits + torch.stack([torch.zeros_like(self._shift), self._shift], -1)
        return logits.float().cpu().numpy()

    def _look(self, index: int) -> list[Tensor]:
        """What a frame shows for all sentences, per scale (U, M, C); only what is new is computed."""
        kept, count = self._kept[index], len(self.sentences)
        if kept.count < count and kept.maps is not None:
            state = self._state
            if kept.count:
                state = state.keep(torch.arange(kept.count, count, device=self.engine.device))
            new = self.model.look(kept.maps, 0, state)
            self._looks = bool(new)
            if not new:
                kept.maps = None
            kept.looked = [torch.cat(pair) for pair in zip(kept.looked, new, strict=True)] if kept.count else new
            kept.count = count
        return kept.looked


class _BackwardMean:
    """Mean of a track's last logits.

    Args:
        length: Observations that count, the present one among them.
    """

    def __init__(self, length: int) -> None:
        self.length, self.columns = length, 0
        self._history: dict[int, np.ndarray] = {}  # slot -> (k, U, 2), NaN before a sentence was there

    def add_columns(self, count: int) -> None:
        """Some sentences more."""
        self.columns += count
        for slot, kept in self._history.items():
            self._history[slot] = np.concatenate([kept, np.full((len(kept), count, 2), np.nan, np.float32)], 1)

    def remove_column(self, column: int) -> None:
        """One sentence less."""
        self.columns -= 1
        self._history = {slot: np.delete(kept, column, 1) for slot, kept in self._history.items()}

    def forget(self, slot: int) -> None:
        """Its track is forgotten."""
        self._history.pop(slot, None)

    def __call__(self, slots: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """(B,) slots, (B, U, 2) logits -> (B, U, 2) means."""
        if self.length == 1:
            return logits
        out = np.empty_like(logits)
        for k, slot in enumerate(slots.tolist()):
            before = self._history.get(slot, np.zeros((0, self.columns, 2), np.float32))
            kept = self._history[slot] = np.concatenate([before, logits[k : k + 1]])[-self.length :]
            out[k] = np.nanmean(kept, axis=0)
        return out


def _stripped(sentence: Any) -> str:
    if not isinstance(sentence, str) or not sentence.strip():
        raise ConfigError(f"a sentence is {sentence!r}", expected="a text that is not empty",
                          hint='Write for example "cars turning left"')
    return sentence.strip()
