"""Count and plot what papers report of a dataset.

Videos, frames, trajectories, boxes, expressions, words, referents, share of positives, expressions per attribute, and the
tracker's quality against the truth of all objects.

  flexhook data stats data=refer_kitti data.root=DIR --plot stats.png
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np

from flexhook.commands.data_config import Progress, add_data_arguments, open_data, tracks_in_words
from flexhook.datasets.cache import CachedReader
from flexhook.datasets.stats import SplitStats, split_stats, table, unseen_share
from flexhook.errors import ConfigError, FlexHookError
from flexhook.evaluation.jobs import Job, fast_statistics
from flexhook.evaluation.overlaps import Boxes
from flexhook.evaluation.statistics import Statistics
from flexhook.structures import TrackSet, Video
from flexhook.structures.protocols import Tracker

METRICS = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_data_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--plot", metavar="FILE", help="picture to draw (default: NAME_stats.png in this folder)")
    parser.add_argument("--no-plot", action="store_true", help="draw nothing")


def run(args: argparse.Namespace) -> int:
    """Count, print and plot.

    Raises:
        flexhook.errors.InputError: The dataset is not named right, or something of it is missing or malformed.
    """
    config, reader, tracker = open_data(args.overrides, args.config_dir)
    logging.basicConfig(format="%(message)s")
    cached = CachedReader(reader)
    stats: dict[str, SplitStats] = {}
    columns: dict[str, dict[str, float]] = {}
    absent: list[FlexHookError] = []
    with Progress("frames counted") as advance:
        for split, configured in reader.splits.items():
            try:
                names = cached.video_names(split) if configured else []
            except FlexHookError as error:
                absent.append(error)
                continue
            videos = [cached.read(name) for name in names]
            stats[split] = split_stats(videos)
            columns[split] = stats[split].to_dict()
            if tracker is not None and videos:
                columns[split] |= tracker_quality(videos, tracker)
            advance(stats[split].frames)
    if not any(s.videos for s in stats.values()):
        raise absent[0] if absent else ConfigError("no split names a video", hint="Set data.root, or data.reader.splits")
    for problem in absent:
        logging.getLogger(__name__).warning("%s", problem)
    for split, numbers in stats.items():
        if split != "train" and "train" in stats and stats["train"].sentences and numbers.sentences:
            columns[split]["sentences not in training"] = unseen_share(stats["train"], numbers)
    values = {split: {a: s.values(a) for a in s.groups} for split, s in stats.items()}
    if args.json:
        print(json.dumps({"dataset": config.name, "splits": columns, "attributes": values}, indent=1))
    else:
        print(f"{config.name} in {config.root}{tracks_in_words(tracker)}")
        print(table(columns))
    if not args.no_plot:
        from flexhook.datasets.stats_plot import plot_stats

        path = Path(args.plot or f"{config.name}_stats.png")
        quality = {split: {m: c[f"tracker {m}"] for m in METRICS if f"tracker {m}" in c} for split, c in columns.items()}
        plot_stats(stats, str(config.name), path, quality)
        if not args.json:
            print(f"plots: {path}")
    return 0


def tracker_quality(videos: list[Video], tracker: Tracker) -> dict[str, float]:
    """Tracker boxes and their pooled metrics, 0 to 100, against the truth of all objects of all classes.

    Raises:
        flexhook.errors.InputError: The tracker's output for a video is missing or malformed.
    """
    parts: list[Statistics] = []
    boxes = tracks_count = 0
    for video in videos:
        tracks = tracker.track(video)
        boxes, tracks_count = boxes + len(tracks), tracks_count + len(np.unique(tracks.identity))
        every = [np.arange(len(video.truth))], [np.arange(len(tracks))]
        parts.append(fast_statistics(Job(_boxes(video.truth), _boxes(tracks), *every)))
    pooled = Statistics.concatenate(parts).pooled()
    return {"tracker boxes": boxes, "tracker tracks": tracks_count} | {f"tracker {m}": 100 * pooled[m] for m in METRICS}


def _boxes(tracks: TrackSet) -> Boxes:
    return Boxes(tracks.frame, tracks.identity, tracks.box)
