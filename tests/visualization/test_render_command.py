import csv
import json
import os
import signal
import subprocess
import sys
import time

import layouts
import numpy as np
import pytest
from PIL import Image

from flexhook.commands.main import main
from flexhook.media.video_files import VideoFileFrames
from flexhook.structures import PairResults
from flexhook.structures.result_files import write_expressions, write_pairs
from flexhook.visualization import pen

CONFIG = """
seed: 0
data:
  root: {root}
  reader:
    _target_: flexhook.datasets.dataset.Dataset
    root: {root}
    splits: {{test: ["0005", "0011"]}}
    sizes: {{default: [300, 960]}}
{parts}"""


@pytest.fixture
def results(dataset, tmp_path):
    """A run folder: "blue cars" is answered with everything, "red cars" rightly, the others with nothing."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG.format(root=dataset, parts=layouts.REFER_KITTI_PARTS))
    reader = layouts.refer_kitti(dataset, {"test": ["0005", "0011"]}, {"default": (300, 960)})
    known = {}
    rows = []
    for name in reader.video_names():
        video = reader.read(name)
        logits = np.zeros((len(video.truth), len(video.expressions), 2), np.float32)
        for k, expression in enumerate(video.expressions):
            yes = {"blue cars": np.ones(len(video.truth), bool), "red cars": video.truth.identity == 1}
            logits[:, k, 1] = np.where(yes.get(expression.sentence, np.zeros(len(video.truth), bool)), 2, -2)
            hota = {"red cars": 100.0, "blue cars": 60.0}.get(expression.sentence, 0.0)
            rows.append({"video": name, "slug": expression.slug, "HOTA": hota, "DetA": hota, "AssA": hota})
        write_pairs(folder / "scores", PairResults(name, video.truth, video.expressions, logits))
        known[name] = video.expressions
    write_expressions(folder / "scores", known)
    with open(folder / "expressions.csv", "w", newline="") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return folder


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("named", ["red cars", "red-cars", "Red cars!"])
def test_one_expression_of_one_video_becomes_a_video_and_a_sheet(results, capsys, named):
    assert main(["render", str(results), "--video", "0005", "--expression", named]) == 0
    assert files(results / "pictures") == ["0005/red-cars.mp4", "0005/red-cars.png"]
    frames = VideoFileFrames(results / "pictures/0005/red-cars.mp4")
    assert len(frames) == 5 and frames.read(0).shape[1] == 960
    said = capsys.readouterr().out
    assert f"2 pictures lie in {results / 'pictures'}" in said and "red-cars.mp4" in said


def test_an_expression_is_drawn_in_every_video_that_has_it(results, tmp_path):
    out = str(tmp_path / "o")
    assert main(["render", str(results), "--expression", "blue cars", "--out", out, "--frames", "2"]) == 0
    assert files(tmp_path / "o") == [f"{v}/blue-cars.{s}" for v in ("0005", "0011") for s in ("mp4", "png")]


def test_without_an_expression_the_best_and_the_worst_are_drawn(results):
    assert main(["render", str(results), "--best", "1", "--worst", "2"]) == 0
    assert files(results / "pictures") == [
        "0005/cars.mp4", "0005/red-cars.mp4", "0011/cars.mp4", "bad_expressions.png", "good_expressions.png",
    ]


def test_the_folder_of_scores_will_do(results):
    assert main(["render", str(results / "scores"), "--video", "0011", "--expression", "cars"]) == 0
    assert files(results / "pictures") == ["0011/cars.mp4", "0011/cars.png"]


def test_the_data_may_have_moved(results, dataset, capsys):
    moved = dataset.rename(dataset.with_name("moved"))
    arguments = ["render", str(results), "--video", "0005", "--expression", "cars"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "config.yaml: the data of t" in said and "Give --data root=FOLDER" in said
    assert main([*arguments, "--data", f"root={moved}"]) == 0
    assert main([*arguments, "--data", f"data.root={moved}", "reader.truth.origin=top_left"]) == 0


def test_reference_points_are_drawn_where_the_scores_have_them(results):
    def points_in_sheet():
        sheet = np.asarray(Image.open(results / "pictures/0005/cars.png").convert("RGB")).astype(int)
        return (np.abs(sheet - pen.POINT) <= 25).all(-1).sum()

    arguments = ["render", str(results), "--video", "0005", "--expression", "cars"]
    assert main(arguments) == 0 and points_in_sheet() == 0
    points = {"cars": [[[-0.5, 0.5], [0.5, 0.5]], [[0, 0.8]]]}
    (results / "scores" / "reference_points.json").write_text(json.dumps(points))
    assert main(arguments) == 0 and points_in_sheet() > 50
    assert main([*arguments, "--no-reference-points"]) == 0 and points_in_sheet() == 0


def remove(results, name):
    (results / name).unlink()


@pytest.mark.parametrize(
    ("arguments", "change", "problem"),
    [
        (["--video", "0006"], None, "video '0006' has no scores. Expected one of: 0005, 0011"),
        (["--expression", "red bikes"], None, "'red bikes' is no expression of any of 2 videos. Expected one of: "),
        (["--video", "0005", "--expression", "rad cars"], None, "is no expression of video 0005"),
        ([], lambda r: remove(r, "expressions.csv"), "expressions.csv: without --expression the HOTA"),
        ([], lambda r: (r / "expressions.csv").write_text("video,slug\n0005,cars\n"), "expressions.csv:2: the line is"),
        ([], lambda r: (r / "expressions.csv").write_text("video,slug,HOTA\n0005,cars,x\n"), "expressions.csv:2:"),
        ([], lambda r: (r / "expressions.csv").write_text("video,slug,HOTA\n0005,cars,1\n0005"), "expressions.csv:3:"),
        ([], lambda r: remove(r, "config.yaml"), "no config.yaml in the run folder"),
        ([], lambda r: (r / "config.yaml").write_text("seed: 1\n"), "config.yaml: the configuration has no"),
        ([], lambda r: (r / "config.yaml").write_text("data: [\n"), "config.yaml:2: "),
        ([], lambda r: (r / "config.yaml").write_text("data: {reader: {_target_: no.such.Reader}}"), "config.yaml: "),
        (["--data", "root"], None, "--data got 'root'. Expected KEY=VALUE"),
        (["--data", "roof=x"], None, "Key 'roof' is not in struct"),
        (["--data", "reader.roof=x"], None, "unexpected keyword argument 'roof'"),
        (["--data", "reader.truth.origin=middle"], None, "data.reader.truth.origin is 'middle'"),
        (["--frames", "0", "--expression", "cars"], None, "--frames is 0"),
        (["--frame-rate", "0", "--expression", "cars"], None, "--frame-rate is 0"),
        (["--reference-points"], None, "reference_points.json: the file does not exist"),
        (["--expression", "cars"], lambda r: (r / "scores/reference_points.json").write_text('{"cars": [[1, 2]]}'),
         "reference_points.json: the points of “cars” are malformed"),
        (["--expression", "cars"], lambda r: (r / "scores/0005.npz").write_bytes(b"PK"), "0005.npz: "),
    ],
)
def test_mistakes_are_named_in_one_message(results, capsys, arguments, change, problem):
    if change:
        change(results)
    assert main(["render", str(results), *arguments]) == 2
    said = capsys.readouterr().err
    assert problem in said and said.startswith("flexhook render: ") and "Traceback" not in said
    assert not list((results / "pictures").rglob("*.*")) if (results / "pictures").exists() else True


@pytest.mark.parametrize("name", ["nowhere", "empty", "."])
def test_a_folder_without_scores_is_named(results, tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()  # "." holds the run folder, but is none
    assert main(["render", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err


def test_near_sentences_are_offered_where_there_are_many():
    from flexhook.errors import InputError
    from flexhook.structures import Expression
    from flexhook.visualization.lookup import find_expressions

    sentences = [f"{colour} {kind} in the {side}" for colour in ("red", "blue", "black") for kind in ("cars", "vans")
                 for side in ("left", "right")]
    known = {"0005": [Expression(s, s.replace(" ", "-")) for s in sentences]}
    with pytest.raises(InputError, match="near are: red cars in the left"):
        find_expressions("red carz in the left", known)


def test_sentences_that_differ_in_punctuation_are_told_apart():
    from flexhook.errors import InputError
    from flexhook.structures import Expression
    from flexhook.visualization.lookup import find_expressions

    known = {"0005": [Expression("silver, cars", "silver,-cars"), Expression("silver cars", "silver-cars")]}
    assert find_expressions("silver, cars", known)[0][1].slug == "silver,-cars"
    assert find_expressions("silver-cars", known)[0][1].slug == "silver-cars"
    with pytest.raises(InputError, match=r"fits 2 expressions.*silver,-cars, silver-cars"):
        find_expressions("Silver cars", known)


@pytest.mark.slow
def test_a_killed_command_leaves_no_picture_that_looks_whole(results):
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; from flexhook.commands.main import main\n"
         "from flexhook.visualization import overlay as o; draw = o.captioned_frame\n"
         "o.captioned_frame = lambda *a, **k: time.sleep(0.5) or draw(*a, **k)\n"
         f"main(['render', {str(results)!r}, '--video', '0005', '--expression', 'cars'])"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE,
    )
    folder = results / "pictures" / "0005"
    until = time.monotonic() + 30
    while not list(folder.glob(".*.tmp")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [p.name for p in folder.iterdir() if p.suffix == ".mp4"] == []


def test_help_names_the_arguments(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["render", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("--video", "--expression", "--data", "--out", "--reference-points", "--best"))
