"""``flexhook track``: a Hydra application."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from flexhook.commands.hydra_app import hydra_command
from flexhook.commands.run_data import chosen_videos
from flexhook.configuration.check_config import check_config
from flexhook.datasets.mot import CLASSES, read_class_names, write_class_names, write_mot
from flexhook.errors import ConfigError, Stopped
from flexhook.media.cameras import LiveFrames, is_live
from flexhook.media.sources import video_sources
from flexhook.structures import TrackSet, Video, make_labels

if TYPE_CHECKING:
    from supervision import Detections

    from flexhook.trackers.detect import DetectingTracker


def task(cfg: DictConfig) -> None:
    """Write a MOT file per video.

    Raises:
        InputError: Video, data, weights or files of detections are missing or malformed.
    """
    check_config(cfg)
    if (cfg.video is None) == (cfg.get("data") is None):
        raise ConfigError("video and data are " + ("both given" if cfg.video is not None else "missing"),
                          expected="video=FILE, FOLDER, CAMERA or rtsp://..., or data=NAME data.root=FOLDER split=NAME")
    from flexhook.trackers.detect import DetectingTracker
    from flexhook.trackers.from_config import build_tracker

    tracker = build_tracker(cfg)
    if not isinstance(tracker, DetectingTracker):
        raise ConfigError("the tracker does not detect", expected="tracker=detect", hint="Set detector and associator")
    out = Path(cfg.out)
    begin_folder(out, tracker.categories)
    if cfg.video is not None and is_live(cfg.video):
        track_live(tracker, cfg.video, out, cfg.frames)
        return
    videos = dataset_videos(cfg) if cfg.video is None else list(named_videos(cfg))
    made: dict[str, TrackSet] = {}
    found: dict[str, list[Detections]] = {}
    for video in videos:
        made[video.name], found[video.name] = track_video(tracker, video, out)
    if any(len(video.truth) for video in videos):
        from flexhook.commands.track_quality import quality
        from flexhook.training.run_folder import write_json

        metrics = quality(videos, made, found, tracker.categories)
        write_json(out / "metrics.json", metrics)
        print("against the truth: " + "  ".join(f"{name} {value:.2f}" for name, value in metrics.items()))
    print(f"the tracks lie in {out}; other commands read them with tracker=per_video tracker.root={out}")


def begin_folder(out: Path, names: Sequence[str]) -> None:
    """Write the names of the classes into the folder.

    Raises:
        ConfigError: It holds tracks of other classes.
    """
    before = read_class_names(out)
    if before and before != tuple(names):
        raise ConfigError(f"the folder holds tracks of the classes {', '.join(before)}, and the detector has"
                          f" {', '.join(names)}", file=out / CLASSES, hint="Set out to another folder, or remove this one")
    write_class_names(out, names)


def track_video(tracker: DetectingTracker, video: Video, out: Path) -> tuple[TrackSet, list[Detections]]:
    """Track one video and write its file; detections that are made before an interruption are not made again."""
    begin = time.perf_counter()
    detections = detect_frames(tracker, video)
    tracks = tracker.associate(video, detections)
    path = out / f"{video.name}.txt"
    write_mot(path, tracks, classes=True)
    rate = video.num_frames / max(time.perf_counter() - begin, 1e-9)
    print(f"{video.name}: {len(tracks.tracks())} tracks, {len(tracks)} boxes in {video.num_frames} frames,"
          f" {rate:.1f} frames per second -> {path}", flush=True)
    return tracks, detections


def detect_frames(tracker: DetectingTracker, video: Video) -> list[Detections]:
    """Detections per frame, with a progress bar."""
    with tqdm(total=video.num_frames, unit="frame", desc=f"{video.name}: detecting", disable=None) as bar:
        try:
            return tracker.detect(video, bar.update)
        except Stopped as stop:
            stop.advice = "the same command goes on where it stopped"
            raise


def track_live(tracker: DetectingTracker, source: int | str, out: Path, limit: int | None = None) -> None:
    """Track a camera or stream until it ends, Ctrl-C, or ``limit`` frames; then write its file."""
    rows: list[tuple[int, int, np.ndarray, int, float]] = []
    with LiveFrames(source) as frames, tqdm(total=limit, unit="frame", desc=frames.name, disable=None) as bar:
        live, count = tracker.live(frames.frame_rate), 0
        try:
            for frame in frames:
                found: Any = live.update(frame)
                rows += [(count, int(k), box, int(c), float(s)) for k, box, c, s in
                         zip(found.tracker_id, found.xyxy, found.class_id, found.confidence, strict=True)]  # fmt: skip
                count += 1
                bar.update(1)
                if limit is not None and count >= limit:
                    break
        except Stopped as stop:
            if stop.code != 130:
                raise
    tracks = TrackSet.empty(tracker.categories)
    if rows:
        frame_of, identity, box, category, score = map(np.array, zip(*rows, strict=True))
        tracks = TrackSet.build(frame_of, identity, box, category, score, tracker.categories)
    path = out / f"{live_name(source)}.txt"
    write_mot(path, tracks, classes=True)
    print(f"{frames.name}: {len(tracks.tracks())} tracks, {len(tracks)} boxes in {count} frames -> {path}", flush=True)


def named_videos(cfg: DictConfig) -> Iterator[Video]:
    """The videos that ``video=`` names.

    Raises:
        InputError: Nothing is there, or it is no video.
    """
    from flexhook.media.video_files import open_frames

    names: list[str] = []
    for one in video_sources(cfg.video):
        frames = open_frames(one)
        height, width = cfg.frame_size or frames.read(0).shape[:2]
        names.append(one.stem if one.is_file() else one.name)
        again = names.count(names[-1])  # videos of one name in several folders
        name = names[-1] if again == 1 else f"{names[-1]}-{again}"
        yield Video(name, (int(height), int(width)), frames, TrackSet.empty(), (), make_labels([], [], (0, 0)))


def dataset_videos(cfg: DictConfig) -> list[Video]:
    """The videos of a split of a dataset.

    Raises:
        InputError: The split, or a video of it, is missing or malformed.
    """
    from flexhook.training.build import build_reader

    reader = build_reader(cfg)
    return [reader.read(name) for name in chosen_videos(reader, cfg.split, cfg.videos)]


def live_name(source: int | str) -> str:
    """A file name for a camera or a stream."""
    text = str(source)
    return f"camera{text}" if text.isdecimal() else "".join(c if c.isalnum() else "_" for c in text.partition("://")[2])


_hydra = hydra_command("track", task)


def run(argv: list[str]) -> int:
    """Run the command; a dataset's own tracker gives way to ``tracker=detect``."""
    return _hydra(argv if any(a.startswith("tracker=") for a in argv) else [*argv, "tracker=detect"])
