"""Scores whole videos: every frame and every sentence through its encoder once."""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexhook.errors import ConfigError
from flexhook.media.frame_wrappers import read_resized
from flexhook.methods.two_stage.folded import folded
from flexhook.methods.two_stage.frame_maps import FrameMaps
from flexhook.methods.two_stage.plan import ScoringPlan
from flexhook.structures import Expression, TrackSet, Video
from flexhook.structures.method import LogitWriter

PRECISIONS = {"float32": None, "bf16": torch.bfloat16}
SENTENCES_AT_ONCE = 256

#: Sentence -> per scale M reference points (x, y) in [-1, 1].
Points = dict[str, list[list[list[float]]]]


@dataclass
class ScoringReport:
    """What scoring one video took.

    Attributes:
        video: Its name.
        windows: Windows judged.
        expressions: Expressions each was judged by.
        frames: Frames encoded for the first time.
        frames_again: Frames encoded again because the memory budget had let them go.
        sentences: Unique sentences encoded.
        seconds: Wall time.
        parts: Wall time by part: text, wait (for decoding), encode, sample, judge, write.
    """

    video: str
    windows: int = 0
    expressions: int = 0
    frames: int = 0
    frames_again: int = 0
    sentences: int = 0
    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)


@dataclass
class _Kept:
    """What a frame contributes to the windows that look at it."""

    place: dict[int, int]  # row -> index in ``observed``
    observed: list[Tensor]  # per scale (P, K, C)
    looked: list[Tensor]  # per scale (U, M, C)

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.observed + self.looked)

    def drop(self, unneeded: Callable[[int], bool]) -> None:
        """Let go of rows that no later window needs, once they are half of all: what is left has to be copied."""
        rows = [row for row in self.place if not unneeded(row)]
        if 2 * len(rows) <= len(self.place):
            index = [self.place[row] for row in rows]
            self.observed = [t[index] for t in self.observed]
            self.place = {row: k for k, row in enumerate(rows)}


class ScoringEngine:
    """Scores all (observation, expression) pairs of a video in one pass over its frames.

    What a frame contributes is kept until the last window that needs it. Where that exceeds ``memory_budget``, the frame
    needed last is let go and encoded again later; the report counts such frames.

    Args:
        model: A trained model with the scoring methods of :class:`~flexhook.methods.flexhook.network.FlexHook`.
        tokenize: The text encoder's tokeniser.
        image_size: (height, width) the model sees.
        device: Where to compute.
        precision: ``float32`` or ``bf16`` (autocast).
        frame_batch: Frames encoded at a time. A larger number fills a GPU better and keeps more frames in memory.
        max_pairs: (window, expression) pairs decoded at a time. A larger number needs more memory.
        memory_budget: Bytes that kept contributions may take, beyond those of the windows being judged.
        num_workers: Threads that decode frames ahead of the model.
        calibration: Sentences' (U, D) features to what is added to their scores (U,); None adds nothing.
        smoothing: Observations of its track on either side that an observation's logits are averaged with, for whoever
            writes the scores. A larger number steadies decisions and blurs when they change.
        compile: Run the visual encoder through ``torch.compile``, which takes a minute once per batch size and pays for
            itself over some thousand frames.
    """

    def __init__(
        self,
        model,
        tokenize,
        image_size: tuple[int, int],
        device: str | torch.device = "cpu",
        precision: str = "float32",
        frame_batch: int = 1,
        max_pairs: int = 4096,
        memory_budget: float = 2e9,
        num_workers: int = 2,
        calibration: Callable[[Tensor], Tensor] | None = None,
        smoothing: int = 0,
        compile: bool = False,
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(f"scoring.precision is '{precision}'", expected=" or ".join(PRECISIONS))
        self.model, self.tokenize, self.image_size = model.eval().to(device), tokenize, (int(image_size[0]), int(image_size[1]))
        self.device, self.dtype = torch.device(device), PRECISIONS[precision]
        self.frame_batch, self.max_pairs, self.memory_budget = frame_batch, max_pairs, memory_budget
        self.num_workers, self.calibration, self.smoothing = num_workers, calibration, smoothing
        encode = partial(self.model.encode_frames, visual=folded(self.model.visual, self.image_size))
        self.encode_frames: Callable[[Tensor], list[Tensor]] = torch.compile(encode, dynamic=False) if compile else encode
        self._points: Points = {}
        self.clock: Callable[[], float] = time.perf_counter  # of the parts' seconds; a GPU works on after calls return

    def autocast(self) -> Any:
        """The context of the precision."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    @torch.inference_mode()
    def sentence_features(self, sentences: Sequence[str]) -> Tensor:
        """One (D,) feature per sentence, the mean of its words: (U, D). Calibrations compare sentences by them."""
        ids, mask = (x.to(self.device) for x in self.tokenize(list(sentences)))
        starts = range(0, len(ids), SENTENCES_AT_ONCE)
        parts = (slice(start, start + SENTENCES_AT_ONCE) for start in starts)
        return torch.cat([mean_word(*self.model.encode_expressions(ids[part], mask[part])) for part in parts])

    @torch.inference_mode()
    def reference_points(self, sentences: Sequence[str]) -> Points:
        """The reference points of sentences, for pictures; empty for a model without conditioning."""
        left = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self._points]
        for start in range(0, len(left), SENTENCES_AT_ONCE):
            part = left[start : start + SENTENCES_AT_ONCE]
            with self.autocast():
                encoded = self.model.encode_expressions(*(x.to(self.device) for x in self.tokenize(part)))
                self._points |= _points(part, self.model.prepare_sentences(*encoded))
        return {sentence: self._points[sentence] for sentence in sentences if sentence in self._points}

    @torch.inference_mode()
    def score(
        self, video: Video, tracks: TrackSet, expressions: Sequence[Expression], writer: LogitWriter
    ) -> ScoringReport:
        """Score what the writer does not have yet and finish its file.

        Args:
            video: The video; its truth and labels are not looked at.
            tracks: The trajectories to judge, of any length and with gaps.
            expressions: The sentences.
            writer: Takes the logits.

        Returns:
            What it took.
        """
        begin = time.perf_counter()
        report = ScoringReport(video.name, expressions=len(expressions))
        plan = ScoringPlan.of(tracks, self.model.num_frames, ~writer.written)
        if plan.ends and expressions:
            run = _Run(self, video, tracks, expressions, plan, report)
            for rows, logits in run:
                with run.timed("write"):
                    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
                        writer.write(int(rows[part[0]]), logits[part])
        elif plan.ends:
            for rows in plan.ending:
                writer.write(int(rows[0]), np.zeros((rows[-1] - rows[0] + 1, 0, 2), np.float32))
        writer.finish()
        report.seconds = time.perf_counter() - begin
        return report


def mean_word(tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean of the words of sentences: (U, L, D), (U, L) -> (U, D)."""
    return (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _points(texts: Sequence[str], sentences: Any) -> Points:
    """The reference points of prepared sentences."""
    if sentences.points is None:
        return {}
    scales = [scale.tolist() for scale in sentences.points]  # each U x M x 2
    return {text: [[[round(v, 4) for v in xy] for xy in scale[k]] for scale in scales] for k, text in enumerate(texts)}


class _Run:
    """One pass over one video."""

    def __init__(self, engine: ScoringEngine, video: Video, tracks: TrackSet, expressions, plan: ScoringPlan, report):
        self.engine, self.model, self.video, self.tracks = engine, engine.model, video, tracks
        self.plan, self.report = plan, report
        texts = list(dict.fromkeys(e.sentence for e in expressions))
        self.column = [texts.index(e.sentence) for e in expressions] if len(texts) < len(expressions) else None
        with self.timed("text"), engine.autocast():
            encoded = self.model.encode_expressions(*(x.to(engine.device) for x in engine.tokenize(texts)))
            self.sentences = self.model.prepare_sentences(*encoded)
            self.shift = engine.calibration(mean_word(*encoded)) if engine.calibration else None
            engine._points |= _points(texts, self.sentences)
        report.sentences = len(texts)
        self.boxes = torch.from_numpy(video.normalised(tracks.box)).float().to(engine.device)
        self.kept: dict[int, _Kept] = {}
        self.largest = 0  # bytes of a frame's contributions
        self.order = sorted(plan.uses, key=lambda f: (plan.uses[f][0], f))  # by first need
        self.ahead, self.seen = 0, set[int]()
        self.pending: dict[int, Future] = {}

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        start = self.engine.clock()
        yield
        self.report.parts[part] = self.report.parts.get(part, 0.0) + self.engine.clock() - start

    def _decode(self, frame: int) -> np.ndarray:
        return read_resized(self.video, frame, self.engine.image_size)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        threads = 1 if self.video.frames.sequential else max(self.engine.num_workers, 1)
        with ThreadPoolExecutor(threads) as self.pool:
            try:
                for end, rows in zip(self.plan.ends, self.plan.ending, strict=True):
                    frames = np.unique(self.plan.frames[rows]).tolist()
                    self._fetch(frames)
                    with self.timed("judge"):
                        logits = self._judge(rows)
                    self.report.windows += len(rows)
                    yield rows, logits
                    self._release(end)
            finally:
                for future in self.pending.values():
                    future.cancel()

    def _fetch(self, frames: list[int]) -> None:
        """Make the contributions of these frames present, encoding some frames ahead along with them."""
        missing = [f for f in frames if f not in self.kept]
        while missing:
            chunk, missing = missing[: self.engine.frame_batch], missing[self.engine.frame_batch :]
            while self.ahead < len(self.order) and self.order[self.ahead] in self.seen.union(chunk):
                self.ahead += 1
            spare = min(self.engine.frame_batch - len(chunk), self._room() - len(chunk) - len(missing))
            for frame in self.order[self.ahead :][: max(spare, 0)]:
                if frame not in self.seen and frame not in chunk and frame not in missing:
                    chunk.append(frame)
            for frame in [*chunk, *self.order[self.ahead :][: 2 * self.engine.frame_batch + self.engine.num_workers]]:
                if frame not in self.pending and (frame in chunk or frame not in self.seen):
                    self.pending[frame] = self.pool.submit(self._decode, frame)
            with self.timed("wait"):
                images = np.stack([self.pending.pop(f).result() for f in chunk])
            self._encode(chunk, torch.from_numpy(images).permute(0, 3, 1, 2).to(self.engine.device))

    def _room(self) -> int:
        """How many frames more fit into the memory budget, judged by the largest so far."""
        if not self.largest:
            return self.engine.frame_batch
        return int((self.engine.memory_budget - sum(k.nbytes for k in self.kept.values())) // self.largest)

    def _encode(self, frames: list[int], images: Tensor) -> None:
        with self.engine.autocast():
            with self.timed("encode"):
                maps = FrameMaps.from_maps(self.engine.encode_frames(images), images)
            with self.timed("sample"):
                for k, frame in enumerate(frames):
                    rows = self.plan.needed_rows[frame]
                    index = torch.full((len(rows),), k, device=self.engine.device)
                    self.kept[frame] = _Kept(
                        {int(r): i for i, r in enumerate(rows)},
                        self.model.observe(maps, index, self.boxes[torch.from_numpy(rows).to(self.boxes.device)]),
                        self.model.look(maps, k, self.sentences),
                    )
                    self.largest = max(self.largest, self.kept[frame].nbytes)
        again = sum(f in self.seen for f in frames)
        self.report.frames += len(frames) - again
        self.report.frames_again += again
        self.seen.update(frames)

    def _judge(self, rows: np.ndarray) -> np.ndarray:
        """(k, E, 2) float32 logits of the windows ending at these rows; windows with the same frames go together."""
        out: np.ndarray | None = None
        groups, member = np.unique(self.plan.frames[rows], axis=0, return_inverse=True)
        for g, frames in enumerate(groups.tolist()):
            at = np.flatnonzero(member.reshape(-1) == g)
            windows = self.plan.rows[rows[at]]  # (B, T)
            kept = [self.kept[f] for f in frames]
            with self.engine.autocast():
                observed = [
                    torch.stack([k.observed[s][[k.place[int(r)] for r in windows[:, t]]] for t, k in enumerate(kept)], 1)
                    for s in range(len(kept[0].observed))
                ]
                looked = [
                    torch.stack([k.looked[s] for k in kept]).mean(0) for s in range(len(kept[0].looked))
                ]
                boxes = self.boxes[torch.from_numpy(windows).to(self.boxes.device)]
                logits = self.model.judge(boxes, observed, looked, self.sentences, self.engine.max_pairs)
            if self.shift is not None:
                logits = logits + torch.stack([torch.zeros_like(self.shift), self.shift], -1)
            if self.column is not None:
                logits = logits[:, self.column]
            if out is None:
                out = np.empty((len(rows), *logits.shape[1:]), np.float32)
            out[at] = logits.float().cpu().numpy()
        assert out is not None
        return out

    def _release(self, end: int) -> None:
        """Let go of frames and observations no later window needs and, over the budget, of the frames needed last."""
        next_use = {}
        for frame in list(self.kept):
            uses = self.plan.uses[frame]
            later = bisect_right(uses, end)
            if later == len(uses):
                del self.kept[frame]
            else:
                next_use[frame] = uses[later]
                self.kept[frame].drop(lambda row: self.plan.last_end[row] <= end)
        total = sum(k.nbytes for k in self.kept.values())
        for frame in sorted(next_use, key=next_use.__getitem__, reverse=True):
            if total <= self.engine.memory_budget:
                break
            total -= self.kept.pop(frame).nbytes
