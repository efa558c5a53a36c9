import csv

import numpy as np
import pytest
from PIL import Image

from flexhook.errors import InputError
from flexhook.visualization.curves import read_metrics, smoothed, write_learning_curves


def write_metrics(path, steps=60, with_validation=True):
    rows = [{"step": k, "epoch": k // 20, "train/loss": 1 / (k + 1), "lr": 1e-3} for k in range(steps)]
    if with_validation:
        rows += [
            {"step": k, "epoch": k // 20, "val/loss": 0.5, "val/F1": 60 + k / 10, "val/precision": 50, "val/recall": 70}
            for k in range(19, steps, 20)
        ]
    with open(path, "w", newline="") as lines:
        table = csv.DictWriter(lines, sorted({name for row in rows for name in row}))
        table.writeheader()
        table.writerows(rows)
    return path


def shows(path, colour):
    return (np.asarray(Image.open(path).convert("RGB")) == colour).all(-1).sum() > 20


BLUE, ORANGE, GREEN, GREY = (0, 114, 178), (213, 94, 0), (0, 158, 115), (85, 85, 85)


def test_curves_of_losses_scores_and_rate_are_drawn(tmp_path):
    path = write_learning_curves(tmp_path / "pictures" / "curves.png", write_metrics(tmp_path / "metrics.csv"))
    assert Image.open(path).size == (1562, 407)
    assert all(shows(path, colour) for colour in (BLUE, ORANGE, GREEN, GREY))


def test_panels_without_values_are_left_out(tmp_path):
    path = write_learning_curves(tmp_path / "curves.png", write_metrics(tmp_path / "m.csv", with_validation=False))
    assert Image.open(path).size[0] == 1056
    assert shows(path, BLUE) and not shows(path, ORANGE) and not shows(path, GREEN)


@pytest.mark.parametrize("steps", [1, 2, 25])
def test_short_runs_have_curves_too(tmp_path, steps):
    assert write_learning_curves(tmp_path / "c.png", write_metrics(tmp_path / "m.csv", steps)).stat().st_size > 5000


def test_values_are_read_in_the_order_of_steps_without_blanks_and_nan(tmp_path):
    (tmp_path / "m.csv").write_text("epoch,step,train/loss,val/F1\n0,5,0.5,\n0,2,0.7,\n0,7,nan,\n0,9,,61.5\n")
    curves = read_metrics(tmp_path / "m.csv")
    assert curves["train/loss"][0].tolist() == [2, 5] and curves["train/loss"][1].tolist() == [0.7, 0.5]
    assert curves["val/F1"][1].tolist() == [61.5]


def test_a_last_line_cut_off_by_a_killed_run_is_left_out(tmp_path):
    (tmp_path / "m.csv").write_text("epoch,step,train/loss\n0,1,0.5\n0,2,0.25\n0,3")
    assert read_metrics(tmp_path / "m.csv")["train/loss"][1].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"m\.csv: the file does not read \(No such file"),
        ("", "holds no metrics"),
        ("step,train/loss\n", "holds no metrics"),
        ("a,b\n1,2\n", "holds no metrics.*a column 'step'"),
        ("step,train/loss\n1,0.5\n2,high\n3,0.1\n", r"m\.csv:3: the line is malformed.*2 numbers or blanks"),
        ("step,train/loss\n1,0.5,7\n", r"m\.csv:2: the line is malformed"),
        ("step,epoch,other\n1,0,2\n", "holds no curve.*train/loss.*It has: step, epoch, other"),
    ],
)
def test_malformed_metrics_are_input_errors_and_leave_no_picture(tmp_path, content, problem):
    if content is not None:
        (tmp_path / "m.csv").write_text(content)
    with pytest.raises(InputError, match=problem):
        write_learning_curves(tmp_path / "c.png", tmp_path / "m.csv")
    assert not (tmp_path / "c.png").exists()


def test_smoothing_starts_at_the_first_value_and_approaches_the_mean():
    values = np.r_[1.0, np.zeros(99)]
    out = smoothed(values, 10)
    assert out[0] == 1 and 0 < out[-1] < 1e-4 and (np.diff(out) < 0).all()
    np.testing.assert_allclose(smoothed(np.full(5, 3.0), 4), 3)
