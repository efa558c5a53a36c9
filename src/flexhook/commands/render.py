"""``flexhook render``: overlay videos and contact sheets of scored expressions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flexhook.commands.predicted import find_predicted
from flexhook.commands.run_data import open_reader
from flexhook.errors import InputError
from flexhook.structures.files import require_inside
from flexhook.structures.reference_points import NAME as REFERENCE_POINTS
from flexhook.structures.result_files import read_expressions
from flexhook.visualization.lookup import find_video
from flexhook.visualization.result_pictures import ResultPictures
from flexhook.visualization.run_results import RunResults

DESCRIPTION = """\
Draws what became of scored expressions: an overlay video (mp4) and a contact sheet (png) each. Correct boxes are blue,
false alarms orange and crossed, missed referents yellow and dashed. Without --expression the expressions with the
highest and the lowest HOTA are drawn, with a sheet of the good and a sheet of the bad ones.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = argparse.ArgumentParser("flexhook render", description=DESCRIPTION)
    add = arguments.add_argument
    add(
        "folder",
        type=Path,
        metavar="RUN_OR_SCORES",
        help="a run folder (with config.yaml and scores/), its folder of scores, or a video's folder of `flexhook predict`",
    )
    add("--video", metavar="NAME", help="only this video")
    add("--expression", metavar="SENTENCE", action="append", help="a sentence or its slug; may be given several times")
    add(
        "--best",
        type=int,
        default=3,
        metavar="N",
        help="without --expression: how many of the highest HOTA (%(default)s)",
    )
    add(
        "--worst",
        type=int,
        default=3,
        metavar="N",
        help="without --expression: how many of the lowest HOTA (%(default)s)",
    )
    add(
        "--data",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="changes to the run's data configuration, for example root=FOLDER",
    )
    add("--out", type=Path, metavar="FOLDER", help="where the pictures go (pictures/ in the run folder)")
    add(
        "--frames", type=int, default=9, metavar="N", help="frames on the contact sheet of one expression (%(default)s)"
    )
    add(
        "--frame-rate", type=float, default=10, metavar="N", help="frames per second of the overlay video (%(default)s)"
    )
    add(
        "--reference-points",
        action=argparse.BooleanOptionalAction,
        default=None,
        help=f"draw the points of scores/{REFERENCE_POINTS} (by default where the file exists)",
    )
    return arguments


def run(argv: list[str]) -> int:
    """Run ``flexhook render``."""
    given = parser().parse_args(argv)
    for name in ("best", "worst", "frames"):
        if getattr(given, name) < (name == "frames"):
            raise InputError(f"--{name} is {getattr(given, name)}", expected="a positive number")
    if not 0.1 <= given.frame_rate <= 1000:
        raise InputError(f"--frame-rate is {given.frame_rate:g}", expected="a number from 0.1 to 1000")
    results = RunResults.find(given.folder)
    out = given.out or results.run / "pictures"
    if given.out is None:
        require_inside(out, results.run)
    points = results.reference_points(given.reference_points)
    videos = [find_video(given.video, results.videos)] if given.video else results.videos
    predicted = find_predicted(results.run)
    reader: Any = predicted or open_reader(results.run, given.data)
    draw = ResultPictures(results, reader, out, points, given.frames, given.frame_rate)
    sentences = given.expression
    if predicted and not sentences and not results.metrics():  # all of them: none is known to be better than others
        sentences = [e.slug for e in read_expressions(results.scores).get(predicted.name, ())]
    if sentences:
        written = draw.named(videos, sentences)
    else:
        written = draw.best_and_worst(videos, given.best, given.worst)
    print(f"{len(written)} pictures lie in {out}:")
    for path in written:
        print(f"  {path}")
    return 0
