"""Build what a dataset lacks, without touching what is there.

Always made: index.json (what the dataset holds) and seqmaps/SPLIT.txt (the field's <video>+<slug> lists). Made where
they are missing: label files with identities, from KITTI's label_02 files. Made if asked for: resized images and
TrackEval's ground truth. Done twice, it does nothing; interrupted, it goes on.

  flexhook data prepare data=refer_kitti data.root=DIR --labels-from KITTI/training/label_02 --resize 224 --trackeval
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

from flexhook.commands.data_config import Progress, add_data_arguments, open_data
from flexhook.datasets.cache import CachedReader, state_of
from flexhook.datasets.dataset import Dataset
from flexhook.datasets.frame_labels import FrameLabels
from flexhook.datasets.mixture import Mixture
from flexhook.datasets.prepare import Workshop, index, label_files, resized_images, trackeval_truth
from flexhook.errors import ConfigError, InputError
from flexhook.structures.files import require_inside

#: Where label_02 is looked for, below the dataset's folder.
PLACES = ("KITTI/training/label_02", "training/label_02", "label_02", "KITTI/label_02")


#: What is made below the dataset's folder.
MADE = ("index.json", "seqmaps", "trackeval")


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
    labels = reader.truth if isinstance(reader, Dataset) and isinstance(reader.truth, FrameLabels) else None
    if args.labels_from is not None and (labels is None or not args.labels_from.is_dir()):
        expected = "a folder of label_02 files, for a dataset with a label file per frame"
        raise ConfigError("labels cannot be made from --labels-from", file=args.labels_from, expected=expected)
    logging.basicConfig(format="%(message)s")
    out = args.out or Path(config.root)
    for place in (() if args.out else (p for p in out.iterdir() if p.name in MADE or p.name.startswith("images_"))):
        require_inside(place, out)
    shop = Workshop(out)
    names = reader.video_names()
    advice = []
    with Progress("videos prepared") as advance:
        if isinstance(reader, Dataset) and labels is not None:
            if _make_labels(shop, reader, labels, names, args.labels_from, args.cut) and args.out:
                reader.truth = dataclasses.replace(labels, path=f"{out.resolve()}/{labels.path}")
                advice.append(f"data.reader.truth.path='{_escaped(reader.truth.path)}'")
        cached, videos, states = CachedReader(reader), [], {}
        for name in names:
            video = cached.read(name)
            states[name] = f"{state_of(reader.files(name))} {reader.settings(name)}"
            if args.resize is not None:
                resized_images(shop, video, reader.dataset(name).place(name).key, args.resize, args.format)
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


def _make_labels(
    shop: Workshop, dataset: Dataset, labels: FrameLabels, names: list[str], source: Path | None, cut: bool
) -> bool:
    """Make missing label files; False where the dataset has them all of its own."""
    root = dataset.root
    made_before = set(shop.videos("labels"))
    missing = [n for n in names if n in made_before or not labels.pattern.folder(root, n).is_dir()]
    if not missing:
        return False
    if source is None:
        source = next((root / place for place in PLACES if (root / place).is_dir()), None)
    if source is None or not source.is_dir():
        problem = f"video {missing[0]} has no label files, and there are no label_02 files to make them of"
        hint = "Give KITTI's folder with --labels-from FOLDER"
        file = labels.pattern.folder(root, missing[0]) if source is None else source
        raise InputError(problem, file=file, expected="label_02/<video>.txt", hint=hint)
    for name in missing:
        images = {} if dataset.images is None else dataset.images.files(root, name)
        count = max(images) + 1 if images else dataset.length(name)
        label_files(shop, dataset, labels, source / f"{name}.txt", name, count, cut=cut)
    return True


def _image_advice(reader: Dataset | Mixture, folder: str) -> list[str]:
    """What to say on the command line to use resized images: where they are and, if need be, the original's size."""
    advice = []
    for key, dataset in reader.datasets().items():
        if dataset.images is not None and any(dataset.splits.values()):
            advice.append(f"{key}.images.pattern='{_escaped(f'{folder}/{{video}}/{{frame:06d}}.{{ext}}')}'")
            if dataset.sizes.source == "images":
                advice.append(f"{key}.sizes='{_escaped(f'{folder}/sizes/{{video}}.ini')}'")
    return advice


def _escaped(pattern: str) -> str:
    """A pattern as Hydra's command line takes it: braces are escaped."""
    return pattern.replace("{", r"\{").replace("}", r"\}")
