"""``flexhook data synthesize``: make a synthetic world on disk."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import fields
from pathlib import Path

from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.tracker_errors import TrackerErrors
from flexhook.synthetic.world_files import MANIFEST, ensure

_NUMBERS = {
    "seed": "seed of everything",
    "train_videos": "number of training videos",
    "val_videos": "number of validation videos",
    "test_videos": "number of test videos",
    "frames": "frames per video",
    "expressions": "sentences per training and test video",
    "objects_per_frame": "mean number of visible objects",
    "image_height": "height of the stored images in pixels",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    defaults = {f.name: f.default for f in fields(WorldConfig)}
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    for name, text in _NUMBERS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(defaults[name]),
            default=defaults[name],
            help=f"{text} (default: %(default)s)",
        )
    parser.add_argument(
        "--tracker-errors",
        type=float,
        default=1.0,
        metavar="SCALE",
        help="factor for all error rates of the simulated tracker; 0 gives the truth (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=None, help="processes (default: one per processor)")


def run(args: argparse.Namespace) -> int:
    """Make the world, or say that it is there already.

    Raises:
        flexhook.errors.InputError: The folder holds something else.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = WorldConfig(tracker=TrackerErrors(scale=args.tracker_errors), **{name: getattr(args, name) for name in _NUMBERS})
    ensure(args.out, config, args.workers)
    counts = json.loads((args.out / MANIFEST).read_text(encoding="utf-8"))["counts"]
    print(
        f"{args.out}: {len(counts['expressions'])} videos, {counts['frames']} frames,"
        f" {counts['observations']} visible objects,"
        f" {counts['sentences']} distinct sentences"
    )
    return 0
