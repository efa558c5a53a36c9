"""MOT files as other tools write them: the tracker's reader and the one of results folders agree on every case."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from flexhook.datasets.mot import read_mot, read_mot_truth, write_mot
from flexhook.errors import ConfigError, InputError
from flexhook.evaluation.evaluator import evaluate_folder
from flexhook.evaluation.trackeval_folder import Rules
from flexhook.structures import TrackSet

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the files of real situations are not beside this checkout")

#: Read to the same data as tracks.txt.
SAME = "6col 8col bom semi trailcomma header comment space tab crlf noeol blank float exp".split()
#: Refused: words of the message, and its line.
REFUSED = {
    "5col": ("it has 5 columns", 1),
    "utf16": ("the file is UTF-16", 1),
    "kitti": ("KITTI's label format", 1),
    "json": ("the file is JSON", 1),
    "conf%": ("'90%' is not a number", 1),
    "zero": ("the frame is 0.* a whole number from 1 on.*first_frame", 1),
    "mixid": ("the identity is -1.*unidentified=drop", 1),
    "id-1": ("the identity is -1.*unidentified=drop", 1),
    "negid": ("the identity is -2", 1),
    "twoclass": ("identity 1 occurs twice in frame 1", 2),
    "dup": ("identity 1 occurs twice in frame 1", 25),
    "zerosize": ("it is 0 wide and 0 high.*empty_boxes=drop", 25),
}


def same(one, two):
    for name in ("frame", "identity"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    np.testing.assert_allclose(one.box, two.box, atol=1e-9)


def as_results(folder, file):
    """A results folder whose truth is tracks.txt and whose prediction is a file."""
    place = folder / "v1/a"
    place.mkdir(parents=True)
    shutil.copyfile(CASES / "tracks.txt", place / "gt.txt")
    shutil.copyfile(file, place / "predict.txt")
    return folder


@needs_cases
@pytest.mark.parametrize("case", SAME)
def test_harmless_dialects_are_read_to_the_same_data(tmp_path, case):
    file = CASES / f"m_{case}.txt"
    same(read_mot(file, first_frame=1), read_mot(CASES / "tracks.txt", first_frame=1))
    assert evaluate_folder(as_results(tmp_path, file)).summary()["pooled"]["HOTA"] == pytest.approx(1)


@needs_cases
def test_large_and_other_identities_are_read(tmp_path):
    tracks = read_mot(CASES / "tracks.txt", first_frame=1)
    large, seven = (read_mot(CASES / f"m_{case}.txt", first_frame=1) for case in ("bigid", "id7"))
    assert large.identity.tolist() == (tracks.identity + 10**12).tolist()
    assert seven.identity.tolist() == np.where(tracks.identity == 2, 7, 1).tolist()
    assert len(read_mot(CASES / "m_empty.txt", first_frame=1)) == 0


@needs_cases
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_so_with_file_line_and_remedy_by_both_readers(tmp_path, case):
    file = CASES / f"m_{case}.txt"
    words, line = REFUSED[case]
    with pytest.raises(InputError, match=words) as error:
        read_mot(file, first_frame=1)
    assert (error.value.file, error.value.line) == (file, line)
    assert error.value.hint
    with pytest.raises(InputError, match=words) as error:
        evaluate_folder(as_results(tmp_path, file))
    assert (error.value.file, error.value.line) == (tmp_path / "v1/a/predict.txt", line)
    assert "tracker." not in str(error.value)  # evaluate has no such option


@needs_cases
def test_options_read_what_is_refused_without(tmp_path):
    tracks = read_mot(CASES / "tracks.txt", first_frame=1)
    same(read_mot(CASES / "m_zero.txt", first_frame=0), tracks)
    same(read_mot(CASES / "m_zerosize.txt", first_frame=1, drop_empty=True), tracks)
    kept = read_mot(CASES / "m_mixid.txt", first_frame=1, unidentified="drop")
    assert len(kept) == 19
    same(kept, tracks.select(tracks.rows_of(kept.frame, kept.identity)))
    assert len(read_mot(CASES / "m_id-1.txt", first_frame=1, unidentified="drop")) == 0
    assert len(set(read_mot(CASES / "m_id-1.txt", first_frame=1, unidentified="detections").identity.tolist())) == 24
    one = evaluate_folder(as_results(tmp_path / "1", CASES / "m_zerosize.txt"), rules=Rules(empty_boxes="drop"))
    assert one.summary()["pooled"]["HOTA"] == pytest.approx(1)
    two = evaluate_folder(as_results(tmp_path / "2", CASES / "m_mixid.txt"), rules=Rules(unidentified="drop"))
    assert two.summary()["pooled"]["DetRe"] == pytest.approx(19 / 24)


HALVES = ["e5_6col_pred", "e5_8col_pred", "e7_bom", "e7_crlf", "e7_float", "e7_noeol", "e_unsorted"]


@needs_cases
@pytest.mark.parametrize("case", HALVES)
def test_results_folders_in_other_dialects_score_the_same(case):
    good = evaluate_folder(CASES / "e0_good").summary()["pooled"]
    assert 0.5 < good["HOTA"] < 1
    assert evaluate_folder(CASES / case).summary()["pooled"] == pytest.approx(good, abs=1e-12)


@needs_cases
@pytest.mark.parametrize(
    ("case", "file", "line", "words"),
    [
        ("e1_dup", "predict.txt", 41, "identity 1 occurs twice in frame 1"),
        ("e1b_dupadj", "predict.txt", 2, "identity 1 occurs twice in frame 1"),
        ("e3_frame0", "gt.txt", 1, "Set first_frame to the file's first frame number"),
        ("e3b_frame0pred", "predict.txt", 1, "Set predictions_first_frame"),
        ("e_nan", "predict.txt", 1, "it holds NaN or infinity"),
        ("e_neg", "predict.txt", 1, "it is -60 wide"),
    ],
)
def test_results_folders_that_are_refused(case, file, line, words):
    with pytest.raises(InputError, match=words) as error:
        evaluate_folder(CASES / case)
    assert (error.value.file, error.value.line) == (CASES / case / "v1/a" / file, line)


@needs_cases
@pytest.mark.parametrize("case", ["e12_flag0", "e12_mot17_9", "e12_visdrone0"])
def test_ignored_rows_of_the_truth_are_left_out_whatever_their_identity(case):
    truth = read_mot_truth(CASES / case / "v1/a/gt.txt")
    assert set(truth.identity.tolist()) == {1}
    assert evaluate_folder(CASES / case).summary()["pooled"]["HOTA"] > 0.6
    assert evaluate_folder(CASES / "e3_frame0", rules=Rules(first_frame=0)).summary()["pooled"]["HOTA"] > 0.6


@needs_cases
@pytest.mark.parametrize(
    ("name", "words"),
    [("mot_box_empty_after_conversion", "the box is"), ("mot_confidence_not_finite_(float32)", r"the confidence is 1e\+39"),
     ("mot_truth_identity<0", "the identity is -1"), ("mot_truth_box_empty_after_conversion", "the box is")],
)  # fmt: skip
def test_damaged_files_give_no_value_that_cannot_be(name, words):
    read = read_mot_truth if "truth" in name else read_mot
    with pytest.raises(InputError, match=words) as error:
        read(CASES / "hostile/damaged_files" / f"anomaly_{name}", first_frame=1)
    assert error.value.line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1;1;201,5;102;34;23\n", "it has decimal commas, and its fields are separated by semicolons.*decimal points, as 10.5"),
        ("1;1;10,5;20,5;30,0;40,0;0,9;-1,0\n", "it has decimal commas"),  # with as many commas as a row
        ("1 1 10,5 20 30 40\n", "it has decimal commas, and its fields are separated by white space"),
        ("1\t1\t10,5\t20,5\t30,0\t40,0\t0,9\n", "it has decimal commas, and its fields are separated by white space"),
        ("1,1,2,3,4,5\n2;1;2;3;4;5\n", "its fields are separated by semicolons, others by commas"),
        ('"1","1","2","3","4","5"\n', "'\"1\"' is not a number"),  # no header
        ("id,frame,x,y,w,h\n1,1,2,3,4,5\n", "is a header whose columns are not known"),
        ("1,1,2,3,4,5,1,\n1,2,2,3,4,5,1\n", "is not a number"),  # a comma after the last field in some rows only
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path, text, words):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_mot(tmp_path / "a.txt", first_frame=1)
    assert error.value.line == (2 if "\n2;" in text else 1)


@pytest.mark.parametrize(
    "text",
    [
        "# frames, boxes; all\n1;1;2;3;4;5\n# more, or less\n2;1;2;3;4;5\n",
        "# a b\n1,1,2,3,4,5\n  # c, d; e\n2,1,2,3,4,5\n",
        "# a, b\n1 1 2 3 4 5\n2 1 2 3 4 5\n",
        "# a, b\nframe;id;x;y;w;h\n1;1;2;3;4;5\n2;1;2;3;4;5\n",
        "1;1;2;3;4;5;\n#,\n2;1;2;3;4;5;\n",
        "1; 1; 2; 3; 4; 5\n2, 1, 2, 3, 4, 5\n",  # each row in one way only
    ],
)
def test_what_a_comment_says_does_not_choose_the_separator(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    tracks = read_mot(tmp_path / "a.txt", first_frame=1)
    assert tracks.frame.tolist() == [0, 1]
    assert tracks.box.tolist() == [[2, 3, 6, 8]] * 2


@needs_cases
@pytest.mark.parametrize("case", ["e10_gtempty", "e10b_both", "e10c_predempty", "e9_two", "e_idswap1frame", "e_missingpred"])
def test_results_folders_are_read_row_by_row(case):
    for file in (CASES / case).rglob("*.txt"):
        read = read_mot_truth if file.name == "gt.txt" else read_mot
        assert len(read(file, first_frame=1)) == len(file.read_text().split()), file


def test_comments_and_headers_keep_the_lines_of_messages(tmp_path):
    (tmp_path / "a.txt").write_text("# made by a tracker\nframe,id,x,y,w,h\n1,1,2,3,4,5\n# more\n1,1,2,3,4,5\n")
    with pytest.raises(InputError, match="occurs twice") as error:
        read_mot(tmp_path / "a.txt", first_frame=1)
    assert error.value.line == 5


def test_an_unknown_choice_is_refused():
    with pytest.raises(ConfigError, match="unidentified is 'skip'"):
        Rules(unidentified="skip")


@pytest.mark.slow
def test_a_large_file_is_read_in_seconds(tmp_path):
    frame, identity = np.divmod(np.arange(400_000), 100)
    box = np.tile([10.0, 10, 50, 50], (400_000, 1)) + np.arange(400_000)[:, None] / 1000
    write_mot(tmp_path / "a.txt", TrackSet.build(frame, identity, box))
    start = time.perf_counter()
    assert len(read_mot(tmp_path / "a.txt", first_frame=1)) == 400_000
    assert time.perf_counter() - start < 10
