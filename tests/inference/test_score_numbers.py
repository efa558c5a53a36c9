"""Numbers in score files that would change an evaluation without a word are refused, in both formats."""

import zipfile

import numpy as np
import pytest

from flexhook.errors import InputError
from flexhook.evaluation.evaluator import evaluate_videos
from flexhook.media.images import ImageFiles
from flexhook.structures import Expression, ExpressionResult, PairResults, TrackSet, Video, make_labels
from flexhook.structures.result_files import read_results, write_expressions, write_pairs, write_rows

CARS = (Expression("cars", "cars"),)
TRACKS = TrackSet.build([0, 0, 1, 1], [1, 2, 1, 2], [[10, 10, 30, 30], [50, 50, 90, 70]] * 2)
NAN, INF = float("nan"), float("inf")


def write(folder, kind, tracks=TRACKS):
    if kind == "pairs":
        write_pairs(folder, PairResults("v", tracks, CARS, np.tile(np.float32([-1, 1]), (len(tracks), 1, 1))))
    else:
        item = ExpressionResult(CARS[0], tracks, np.full(len(tracks), 0.75), np.ones(len(tracks), bool))
        write_rows(folder, "v", CARS, lambda: iter([item]))
    write_expressions(folder, {"v": CARS})
    return folder / "v.npz"


def change(path, name, row, value):
    """Put a value into a column of a file, with right checksums, as a script of somebody else would."""
    with np.load(path) as content:
        parts = dict(content)
    parts[name] = parts[name].copy()
    parts[name][row] = value
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for key, array in parts.items():
            with archive.open(f"{key}.npy", "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def video(frames=2):
    return Video("v", (100, 100), ImageFiles(["none"] * frames), TRACKS, CARS, make_labels([0, 1, 2, 3], [0] * 4, (4, 1)))


@pytest.mark.parametrize("kind", ["pairs", "rows"])
@pytest.mark.parametrize(
    ("name", "row", "value", "words"),
    [
        ("box", 1, [50, NAN, 90, 70], "the box is 50, nan, 90, 70 in row 2 of 4 of video v. Expected boxes x1, y1, x2, y2"),
        ("box", 3, [50, 50, INF, 70], "the box is 50, 50, inf, 70 in row 4"),
        ("box", 0, [-INF, 10, 30, 30], "the box is -inf, 10, 30, 30 in row 1"),
        ("box", 2, [30, 10, 30, 30], "the box is 30, 10, 30, 30 in row 3"),  # no width
        ("box", 2, [10, 30, 30, 10], "the box is 10, 30, 30, 10 in row 3"),  # upside down
        ("frame", 0, -1, "the frame is -1 in row 1 of 4 of video v. Expected frames from 0 to 999,999"),
        ("frame", 3, 10**6, r"the frame is 1e\+06 in row 4"),
        ("frame", 3, 2**62, "the frame is 4.6"),
    ],
)
def test_boxes_and_frames_that_cannot_be_are_refused(tmp_path, kind, name, row, value, words):
    path = write(tmp_path, kind)
    assert evaluate_videos([(video(), read_results(tmp_path, "v"))]).metrics()["test/HOTA"] == pytest.approx(100)
    change(path, name, row, value)
    with pytest.raises(InputError, match=words) as error:
        read_results(tmp_path, "v")
    assert (error.value.file, error.value.hint) == (path, "Score the video again with `flexhook score`")


@pytest.mark.parametrize(
    ("kind", "name", "value", "words"),
    [
        ("pairs", "logits", [NAN, 1], "1 scores of video v are not finite numbers. Expected finite numbers"),
        ("pairs", "logits", [0, INF], "1 scores of video v are not finite"),
        ("pairs", "confidence", NAN, "1 confidences of video v are not finite"),
        ("rows", "score", NAN, "1 scores of video v are not finite"),
        ("rows", "score", 1.5, "the score is 1.5 in row 2 of 4 of video v. Expected scores from 0 to 1"),
        ("rows", "score", -0.5, "the score is -0.5"),
    ],
)
def test_scores_that_cannot_be_are_refused(tmp_path, kind, name, value, words):
    change(write(tmp_path, kind), name, 1, value)
    with pytest.raises(InputError, match=words) as error:
        read_results(tmp_path, "v")
    assert error.value.file == tmp_path / "v.npz"


@pytest.mark.parametrize("kind", ["pairs", "rows"])
def test_frames_that_the_video_does_not_have_are_refused_by_the_evaluation(tmp_path, kind):
    path = write(tmp_path, kind, TrackSet.build([0, 0, 7, 9], [1, 2, 1, 2], TRACKS.box))
    with pytest.raises(InputError, match="2 of 4 observations are of frames that video v does not have, the first of frame 7"
                                         r" \(from 0\). Expected frames from 0 to 1") as error:
        evaluate_videos([(video(), read_results(tmp_path, "v"))])
    assert error.value.file == path
    assert evaluate_videos([(video(10), read_results(tmp_path, "v"))]).metrics()["test/HOTA"] < 100


@pytest.mark.parametrize("kind", ["pairs", "rows"])
@pytest.mark.parametrize("box", [[5, 5, 5, 9], [5, 5, NAN, 9]])
def test_what_would_be_refused_is_not_written(tmp_path, kind, box):
    wrong = TrackSet.build([0], [1], [box])
    with pytest.raises(InputError, match=r"the box is 5, 5|boxes of video v, 'cars' are not finite"):
        write(tmp_path, kind, wrong)
    assert not list(tmp_path.glob("*.npz"))
