"""Build what a dataset lacks, without touching what is there.

Always made: index.json (what the dataset holds) and seqmaps/SPLIT.txt (the field's <video>+<slug> lists). Made where
they are missing: label files with identities, from KITTI's label_02 files. Made if asked for: resized images and
TrackEval's ground truth. Done twice, it does nothing; interrupted, it goes on.

  flexhook data prepare data=refer_kitti data.root=DIR --labels-from KITTI/training/label_02 --resize 224 --trackeval
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from flexhook.commands.data_config import Progress, add_data_arguments, open_data
from flexhook.datasets.cache import CachedReader, state_of
from flexhook.datasets.folders import FolderDataset
from flexhook.datasets.mixture import Mixture
from flexhook.datasets.naming import FramePattern
from flexhook.datasets.prepare import Workshop, index, label_files, resized_images, trackeval_truth
from flexhook.datasets.reader import Reader
from flexhook.datasets.refer_kitti import ReferKitti
from flexhook.errors import ConfigError, InputError

#: Where label_02 is looked for, below the dataset's folder.
PLACES = ("KITTI/training/label_02", "training/label_02", "label_02", "KITTI/label_02")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to put the files (default: data.root)")
    parser.add_argument(
        "--labels-from",
        type=Path,
        metavar="FOLDER",
        help=f"folder of KITTI's label_02 files (default: {', '.join(PLACES[:2])}, ... below data.root)",
    )
    parser.add_argument(
        "--resize", type=int, metavar="HEIGHT", help="make copies of the images HEIGHT pixels high, in images_HEIGHT/"
    )
    parser.add_argument(
        "--format", choices=("png", "jpg"), default="jpg", help="format of resized images (default: %(default)s)"
    )
    parser.add_argument("--cut", action="store_true", help="leave out labels of frames after the last image")
    parser.add_argument("--trackeval", action="store_true", help="make trackeval/<video>/<slug>/gt.txt")


def run(args: argparse.Namespace) -> int:
    """Prepare, and say what was made.

    Raises:
        flexhook.errors.InputError: The dataset is not named right, or something that is needed is missing or malformed.
    """
    if args.resize is not None and args.resize < 16:
        raise ConfigError(f"--resize is {args.resize}", expected="a height of at least 16 pixels")
    config, reader, _ = open_data(args.overrides, args.config_dir)
    if args.labels_from is not None and not (isinstance(reader, ReferKitti) and args.labels_from.is_dir()):
        expected = "a folder of label_02 files, for a dataset in the raw Refer-KITTI layout"
        raise ConfigError("labels cannot be made from --labels-from", file=args.labels_from, expected=expected)
    logging.basicConfig(format="%(message)s")
    out = args.out or Path(config.root)
    shop = Workshop(out)
    names = reader.video_names()
    advice = []
    with Progress("videos prepared") as advance:
        if isinstance(reader, ReferKitti) and _make_labels(shop, reader, names, args.labels_from, args.cut) and args.out:
            reader.labels = FramePattern(f"{out.resolve()}/{reader.labels.pattern}", reader.labels.first_frame)
            advice.append(f"data.reader.labels='{_escaped(reader.labels.pattern)}'")
        cached, videos, states = CachedReader(reader), [], {}
        for name in names:
            video = cached.read(name)
            states[name] = f"{state_of(reader.files(name))} {reader.settings(name)}"
            if args.resize is not None:
                resized_images(shop, video, _inner(reader, name).key(name), args.resize, args.format)
            if args.trackeval:
                trackeval_truth(shop, video, states[name])
            videos.append(video)
            advance(1)
        index(shop, str(config.name), reader, videos, states)
    if args.resize is not None:
        folder = f"{'' if args.out is None else f'{out.resolve()}/'}images_{args.resize}"
        advice += _image_advice(reader, folder)
    written = {step: count for step, count in shop.result.written.items() if count}
    made = ", ".join(f"{count:,} files of {step}" for step, count in written.items())
    print(f"{out}: {f'made {made}' if made else 'everything was there already'}")
    if advice:
        print(f"use them with: {' '.join(advice)}")
    return 0


def _make_labels(shop: Workshop, reader: ReferKitti, names: list[str], source: Path | None, cut: bool) -> bool:
    """Make missing label files; False where the dataset has them all of its own."""
    made_before = set(shop.videos("labels"))
    missing = [n for n in names if n in made_before or not reader.labels.folder(reader.root, n).is_dir()]
    if not missing:
        return False
    if source is None:
        source = next((reader.root / place for place in PLACES if (reader.root / place).is_dir()), None)
    if source is None or not source.is_dir():
        problem = f"video {missing[0]} has no label files, and there are no label_02 files to make them of"
        hint = "Give KITTI's folder with --labels-from FOLDER"
        file = reader.labels.folder(reader.root, missing[0]) if source is None else source
        raise InputError(problem, file=file, expected="label_02/<video>.txt", hint=hint)
    for name in missing:
        images = {} if reader.images is None else reader.images.files(reader.root, name)
        count = max(images) + 1 if images else reader.sizes.length(reader.root, name)
        label_files(shop, reader, source / f"{name}.txt", name, count, cut=cut)
    return True


def _image_advice(reader: Reader, folder: str) -> list[str]:
    """What to say on the command line to use resized images: where they are and, if need be, the original's size."""
    if isinstance(reader, Mixture):
        parts = {f"data.reader.sources.{source}": inner for source, inner in reader.sources.items()}
    else:
        parts = {"data.reader": reader}
    advice = []
    for key, inner in parts.items():
        if isinstance(inner, FolderDataset) and any(inner.splits.values()):
            advice.append(f"{key}.images='{_escaped(f'{folder}/{{video}}/{{frame:06d}}.{{ext}}')}'")
            if inner.sizes.source == "images":
                advice.append(f"{key}.sizes='{_escaped(f'{folder}/sizes/{{video}}.ini')}'")
    return advice


def _inner(reader: Reader, name: str) -> FolderDataset:
    inner = reader.reader(name) if isinstance(reader, Mixture) else reader
    if not isinstance(inner, FolderDataset):
        raise ConfigError(f"images of a {type(inner).__name__} cannot be resized", expected="a dataset in folders")
    return inner


def _escaped(pattern: str) -> str:
    """A pattern as Hydra's command line takes it: braces are escaped."""
    return pattern.replace("{", r"\{").replace("}", r"\}")
