"""``flexhook predict`` on a camera or a network stream: frame by frame, until it ends or is stopped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tqdm import tqdm

from flexhook.api.results import SentenceResult
from flexhook.commands.predicted import OUT
from flexhook.commands.track import live_name
from flexhook.errors import ConfigError, Stopped
from flexhook.inference.decisions import Decision
from flexhook.media.cameras import LiveFrames
from flexhook.media.video_files import VideoWriter
from flexhook.structures import Expression, Frames, TrackSet, Video, make_labels
from flexhook.structures.slugs import unique_slugs
from flexhook.trackers.detect import DetectingTracker
from flexhook.trackers.from_config import build_tracker
from flexhook.visualization.sentences_overlay import Referred, SentencesDrawing

if TYPE_CHECKING:
    from flexhook.api import Model

WINDOW = "flexhook"


def predict_live(cfg: DictConfig, load_model: Callable[[], Model], sentences: Sequence[str], decision: Decision) -> None:
    """Answer sentences for every frame, then write what ``predict`` writes for a file: MOT, CSV, one overlay video.

    Args:
        cfg: The command's configuration.
        load_model: Gives the model, once the source is there.
        sentences: The sentences, checked.
        decision: How they are accepted, from what was seen so far.

    Raises:
        ConfigError: Tracks are given, the detections are those of a file, or there is no display to show a window on.
        InputError: The source gives no frames.
        Stopped: The process was told to end, other than by Ctrl-C.
    """
    if cfg.show:
        _require_display()
    listed, name = list(sentences), live_name(cfg.video)
    out = Path(cfg.out or OUT) / ("" if cfg.out else name)
    rows: dict[str, list[tuple]] = {sentence: [] for sentence in listed}
    with LiveFrames(cfg.video) as source, ExitStack() as stack:
        model = load_model()
        tracker = _first_stage(cfg) if model.method.needs_tracks else None
        rate = cfg.frame_rate or source.frame_rate or 10.0
        live = None if tracker is None else tracker.live(rate)
        stream = model.stream(listed, source.size, threshold=decision.threshold, vote=decision.vote, top_k=decision.top_k)
        drawing = SentencesDrawing(source.size, listed, source.name)
        path = out / f"{name}.mp4"
        video = stack.enter_context(VideoWriter(path, frame_rate=rate)) if cfg.overlay else None
        bar = stack.enter_context(tqdm(total=cfg.frames, unit="frame", desc=source.name, disable=None))
        count, begin = 0, time.perf_counter()
        try:
            for frame in source:
                answer = stream.update(frame, None if live is None else live.update(frame))
                referred = [_referred(answer[sentence]) for sentence in listed]
                for sentence, (boxes, identities, probabilities) in zip(listed, referred, strict=True):
                    sure = _confidences(answer[sentence])
                    rows[sentence] += [(count, int(i), b, float(p), float(c))
                                       for b, i, p, c in zip(boxes, identities, probabilities, sure, strict=True)]  # fmt: skip
                count += 1
                bar.update(1)
                closed = False
                if video is not None or cfg.show:
                    picture = drawing.draw(frame, referred)
                    if video is not None:
                        video.write(picture)
                    closed = cfg.show and _shown(picture)
                if closed or (cfg.frames is not None and count >= cfg.frames):
                    break
        except Stopped as stop:
            if stop.code != 130:
                raise
        seconds = time.perf_counter() - begin
    _write(cfg, out, Video(name, source.size, _Seen(count), TrackSet.empty(), (), make_labels([], [], (0, 0))), rows, rate)
    if video is not None:
        print(f"overlay -> {path}")
    print(f"{count} frames in {seconds:.1f} s: {count / max(seconds, 1e-9):.1f} frames per second")
    print(f"the results lie in {out}")


def _first_stage(cfg: DictConfig) -> DetectingTracker:
    """The detector and associator of the configuration."""
    tracker = build_tracker(cfg) if HydraConfig.get().runtime.choices.get("tracker") == "detect" else None
    if not isinstance(tracker, DetectingTracker):
        raise ConfigError("tracks are given for a camera or stream", expected="a detector, which sees the frames as they come",
                          hint="Leave tracks and tracker out, and choose detector= and associator=")
    return tracker


def _referred(found: Any) -> Referred:
    """Accepted detections as boxes, identities and probabilities."""
    return found.xyxy, found.tracker_id if len(found) else np.zeros(0, np.int64), found.data.get("probability", np.zeros(0))


def _confidences(found: Any) -> np.ndarray:
    """The tracker's scores of detections, 1 where it gives none."""
    return np.ones(len(found)) if found.confidence is None else found.confidence


def _require_display() -> None:
    """See that a window can be shown: without a display its library ends the process.

    Raises:
        ConfigError: There is none.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("show=true opens a window, and there is no display", expected="a display",
                          hint="Leave show out: the overlay is written to an mp4 file")


def _shown(picture: np.ndarray) -> bool:
    """Show a picture; whether the window was told to close.

    Raises:
        ConfigError: There is no display.
    """
    try:
        cv2.imshow(WINDOW, picture[..., ::-1])
        return cv2.waitKey(1) & 0xFF in (ord("q"), 27)
    except cv2.error as error:
        raise ConfigError(f"show=true opens a window, and there is none to be had ({error.err or 'no display'})",
                          expected="a display and a build of OpenCV with windows",
                          hint="Leave show out: the overlay is written to an mp4 file") from None


def _write(cfg: DictConfig, out: Path, video: Video, rows: dict[str, list[tuple]], rate: float) -> None:
    """MOT and CSV files per sentence."""
    for (sentence, found), slug in zip(rows.items(), unique_slugs(list(rows)), strict=True):
        tracks, score = TrackSet.empty(), np.zeros(0)
        if found:
            frame, identity, box, probability, confidence = map(np.array, zip(*found, strict=True))
            order = np.lexsort((identity, frame))
            score = probability[order]
            tracks = TrackSet.build(frame[order], identity[order], box[order], confidence=confidence[order])
        result = SentenceResult(Expression(sentence, slug), tracks, score, np.ones(len(tracks), bool), video, rate)
        path = result.to_mot(out, cfg.first_frame)
        result.to_csv(out)
        print(f"“{sentence}”: {len(tracks.tracks())} tracks, {len(tracks)} boxes -> {path}", flush=True)


class _Seen(Frames):
    """Frames that have passed: their number is known, and no more.

    Args:
        count: Their number.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> np.ndarray:
        """Refuse."""
        raise IndexError(f"frame {index} of a stream has passed")
