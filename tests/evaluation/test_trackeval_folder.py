"""TrackEval's folder layout: what is written is read, and what is malformed is refused with file and line."""

from pathlib import Path

import numpy as np
import pytest
from evaluation_worlds import track, track_set

from flexhook.errors import InputError
from flexhook.evaluation.evaluator import evaluate_folder
from flexhook.evaluation.trackeval_folder import find_sequences, read_trackeval_folder
from flexhook.evaluation.trackeval_writer import write_trackeval_folder

ROWS = "1,1,10,10,20,20,1,1,1\n2,1,11,10,20,20,1,1,1\n"


def write(folder, name="0005/cars", gt=ROWS, predict=ROWS):
    place = folder / name
    place.mkdir(parents=True)
    for file, text in (("gt.txt", gt), ("predict.txt", predict)):
        if text is not None:
            (place / file).write_text(text)
    return folder


def hota(folder):
    return evaluate_folder(folder).summary()["pooled"]["HOTA"]


def test_rows_are_read_with_zero_based_frames_and_corners(tmp_path):
    (content,) = read_trackeval_folder(write(tmp_path))
    assert (content.video, content.slugs) == ("0005", ("cars",))
    assert content.job.truth.frame.tolist() == [0, 1]
    assert content.job.truth.box.tolist() == [[10, 10, 30, 30], [11, 10, 31, 30]]


def test_lines_that_files_share_are_one_row(tmp_path):
    write(tmp_path)
    write(tmp_path, "0005/red-cars", gt=ROWS[: len(ROWS) // 2], predict="")
    (content,) = read_trackeval_folder(tmp_path)
    assert len(content.job.truth) == 2
    assert [rows.tolist() for rows in content.job.truth_rows] == [[0, 1], [0]]
    assert [len(rows) for rows in content.job.track_rows] == [2, 0]


def test_expressions_may_disagree_about_an_object(tmp_path):
    """The same identity has another box in another expression's file: each is scored with its own."""
    write(tmp_path)
    write(tmp_path, "0005/b", gt=ROWS.replace("10,20,20", "500,20,20"), predict=ROWS.replace("10,20,20", "500,20,20"))
    write(tmp_path, "0005/c", predict=ROWS.replace("10,20,20", "500,20,20"))
    found = evaluate_folder(tmp_path).summary()["sequences"]
    assert [found[f"0005+{slug}"]["HOTA"] for slug in ("cars", "b", "c")] == pytest.approx([1, 1, 0])


@pytest.mark.parametrize(
    "text",
    [
        ROWS.replace("\n", "\r\n"),
        "\n" + ROWS + "\n  \n",
        ROWS.rstrip(),
        ROWS.replace(",", ", "),
        ROWS.replace(",", " "),
        ROWS.replace("1,1,1\n", "1\n"),
        "1.0,1.0,1e1,10,20,20\n2,1,11.000,10,20,20\n",
        "".join(reversed(ROWS.splitlines(keepends=True))),
    ],
    ids=["windows", "blank-lines", "no-end", "spaces-after", "spaces", "7-columns", "6-columns", "unordered"],
)
def test_spellings_of_the_same_rows(tmp_path, text):
    assert hota(write(tmp_path, predict=text)) == pytest.approx(1)
    assert hota(write(tmp_path / "2", gt=text)) == pytest.approx(1)


def test_true_rows_marked_zero_are_left_out(tmp_path):
    """The seventh column of gt.txt, as in MOTChallenge; in predict.txt it is a confidence and does not matter."""
    ignored = ROWS + "3,1,12,10,20,20,0,1,1\n"
    assert hota(write(tmp_path, gt=ignored)) == pytest.approx(1)
    assert hota(write(tmp_path / "2", predict=ignored)) < 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3,1,10,10,20", "'3,1,10,10,20' is not a MOT row"),
        ("3,1,10,10,20,x", "is not a MOT row"),
        ("3,1,,10,20,20", "is not a MOT row"),
        ("\x00\xff", "is not a MOT row"),
        ("frame,id,x,y,w,h", "is not a MOT row"),
        ("0,1,10,10,20,20", r"the frame is 0\. Expected a whole number from 1 on"),
        ("-4,1,10,10,20,20", "the frame is -4"),
        ("2.5,1,10,10,20,20", "the frame is 2.5"),
        ("nan,1,10,10,20,20", "the frame is nan"),
        ("inf,1,10,10,20,20", "the frame is inf"),
        ("1e300,1,10,10,20,20", "the frame is 1e"),
        ("3,-1,10,10,20,20", "the identity is -1"),
        ("3,1.5,10,10,20,20", "the identity is 1.5"),
        ("3,nan,10,10,20,20", "the identity is nan"),
        ("3,1,nan,10,20,20", "the box is nan,10,20,20"),
        ("3,1,10,inf,20,20", "the box is"),
        ("3,1,10,10,-20,20", "the box is 10,10,-20,20"),
        ("2,1,11,10,20,20,1,1,1", "identity 1 occurs twice in frame 2"),
        ("2,1,90,10,20,20", "identity 1 occurs twice in frame 2"),
    ],
)
@pytest.mark.parametrize("file", ["gt.txt", "predict.txt"])
def test_malformed_rows_name_file_and_line(tmp_path, file, line, message):
    write(tmp_path)
    (tmp_path / "0005" / "cars" / file).write_text(ROWS + "\n" + line + "\n" + "9,1,10,10,20,20\n")
    with pytest.raises(InputError, match=rf"0005/cars/{file}:4: .*{message}"):
        evaluate_folder(tmp_path)


def test_a_bad_line_is_named_in_the_file_that_brings_it_first(tmp_path):
    bad = ROWS + "3,1,x,10,20,20\n"
    write(tmp_path, "0005/b")
    write(tmp_path, "0005/c", gt=bad)
    with pytest.raises(InputError, match=r"0005/c/gt\.txt:3:"):
        evaluate_folder(tmp_path)


@pytest.mark.parametrize(("gt", "predict", "missing"), [(None, ROWS, "gt"), (ROWS, None, "predict"), (None, None, "gt")])
def test_a_sequence_without_one_of_its_files_is_refused(tmp_path, gt, predict, missing):
    write(tmp_path, "0005/whole")
    write(tmp_path, gt=gt, predict=predict)
    with pytest.raises(InputError, match=rf"0005/cars/{missing}\.txt: 1 of 2 sequences have no {missing}\.txt: 0005/cars"):
        evaluate_folder(tmp_path)


def test_folders_without_sequences_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: the folder does not exist\. Expected <video>/<expression>"):
        evaluate_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there are no sequences"):
        evaluate_folder(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        evaluate_folder(tmp_path / "file")


def test_a_folder_where_a_file_should_be_is_refused(tmp_path):
    write(tmp_path, gt=None)
    (tmp_path / "0005" / "cars" / "gt.txt").mkdir()
    with pytest.raises(InputError, match=r"gt\.txt"):
        evaluate_folder(tmp_path)


def test_videos_are_named_below_what_they_share(tmp_path):
    for name in ("sequences/TAO/a/cars", "sequences/TAO/b/cars", "sequences/MOT17/a/cars"):
        write(tmp_path, name)
    assert list(find_sequences(tmp_path)) == ["MOT17/a", "TAO/a", "TAO/b"]
    assert list(find_sequences(tmp_path / "sequences" / "TAO")) == ["a", "b"]
    assert list(find_sequences(tmp_path / "sequences" / "MOT17")) == ["a"]


def test_a_single_video_or_sequence_keeps_its_name(tmp_path, monkeypatch):
    write(tmp_path)
    for folder in ("0005", "0005/cars"):
        assert evaluate_folder(tmp_path / folder).names == ("0005+cars",)
        monkeypatch.chdir(tmp_path / folder)
        assert evaluate_folder(".").names == ("0005+cars",)


def test_other_files_and_hidden_folders_do_not_matter(tmp_path):
    write(tmp_path)
    write(tmp_path, "0005/.cars.tmp/x", gt="not finished")
    (tmp_path / "pedestrian_summary.txt").write_text("HOTA 3")
    (tmp_path / "0005" / "notes.txt").write_text("")
    assert list(evaluate_folder(tmp_path).names) == ["0005+cars"]


def test_what_is_written_is_read_and_scores_the_same(tmp_path):
    rng = np.random.default_rng(0)
    truth = track_set(track(1, range(6)) + track(2, range(3), x=40))
    moved = truth.box + rng.normal(size=truth.box.shape)
    tracks = track_set(np.column_stack([truth.frame, truth.identity + 5, moved]))
    rows = [np.arange(9), np.array([0, 2, 4])]
    place = write_trackeval_folder(tmp_path, "a/0005", truth, tracks, ("cars", "men's-bikes"), rows, rows[::-1])
    assert place == tmp_path / "a" / "0005"
    assert sorted(p.name for p in place.parent.iterdir()) == ["0005"]
    (content,) = read_trackeval_folder(tmp_path)
    assert content.slugs == ("cars", "men's-bikes")
    for read, given, kept in ((content.job.truth, truth, rows), (content.job.tracks, tracks, rows[::-1])):
        np.testing.assert_allclose(read.box, given.box, rtol=0, atol=2e-9)
        np.testing.assert_array_equal(read.frame, given.frame)
        np.testing.assert_array_equal(read.identity, given.identity)
        places = content.job.truth_rows if kept is rows else content.job.track_rows
        assert [part.tolist() for part in places] == [part.tolist() for part in kept]


def test_an_earlier_result_is_replaced_and_anything_else_is_left_alone(tmp_path):
    some = track_set(track(1, range(2)))
    rows = [np.arange(2)]

    def again(slug):
        return write_trackeval_folder(tmp_path, "0005", some, some, (slug,), rows, rows)

    again("old")
    place = again("new")
    assert [p.name for p in place.iterdir()] == ["new"]
    (place / "new" / "000001.png").write_text("a picture")
    with pytest.raises(InputError, match="holds other things"):
        again("newer")
    assert Path(place / "new" / "000001.png").read_text() == "a picture"
    assert [p.name for p in tmp_path.iterdir()] == ["0005"]
