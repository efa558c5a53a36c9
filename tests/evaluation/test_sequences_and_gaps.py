"""Which sequences count in an evaluation: lists of them, missing predictions, other first frames, and hints at low scores."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluate_world import EXPRESSIONS, VIDEOS, write_answers

from flexhook.commands.main import main
from flexhook.datasets.mot import write_mot
from flexhook.datasets.sequence_list import read_sequence_list
from flexhook.errors import ConfigError, InputError
from flexhook.evaluation.trackeval_folder import Rules
from flexhook.structures import Expression, PairResults, TrackSet
from flexhook.structures.result_files import read_results, write_expressions, write_pairs

HALF = 100 * np.sqrt(0.5)  # HOTA of "left cars", answered with both cars


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def evaluate(run, capsys):
    """Evaluate the run; exit status, metrics and what was printed."""

    def call(*more):
        status = main(["evaluate", f"run={run}", *map(str, more)])
        said = capsys.readouterr()
        return status, json.loads((run / "metrics.json").read_text()) if status == 0 else {}, said.out + said.err

    return call


def listing(folder, *lines):
    folder.joinpath("list.txt").write_text("\n".join(lines))  # the last line of published lists has no line end
    return folder / "list.txt"


def moving(frames=30):
    """Three boxes that move at different speeds."""
    frame, identity = np.repeat(np.arange(frames), 3), np.tile([1, 2, 3], frames)
    x, y = 50 + 80 * identity + frame * (3 * identity - 2), 40 + 60 * identity + frame * (identity - 1)
    return TrackSet.build(frame, identity, np.stack([x, y, x + 60, y + 40], axis=1))


def sequence(folder, truth, tracks, name="v/cars"):
    write_mot(folder / name / "gt.txt", truth)
    if tracks is not None:
        write_mot(folder / name / "predict.txt", tracks)
    return folder


def test_only_listed_sequences_count_and_the_others_are_told(evaluate, tmp_path):
    assert evaluate()[1]["test/HOTA"] == pytest.approx(100 * np.sqrt(3 / 4))
    status, found, said = evaluate(f"protocol.sequences={listing(tmp_path, '0005+cars', '0011+left-cars', '0011+cars')}")
    assert status == 0
    assert found["test/HOTA_mean_over_expressions"] == pytest.approx((200 + HALF) / 3)
    assert "evaluating 2 videos" in said
    assert "list.txt lists 3 sequences and leaves out 3: 0005+left-cars, 0013+cars, 0013+left-cars" in said
    again = evaluate("protocol=default", f"protocol.sequences={tmp_path / 'list.txt'}")[1]
    assert again["test/HOTA_mean_over_expressions"] == pytest.approx((200 + HALF) / 3)


def test_a_list_of_the_run_counts_from_any_folder_but_not_for_other_splits(evaluate, run, tmp_path, capsys):
    config = (run / "config.yaml").read_text()
    listing(tmp_path, "0011+left-cars")
    (run / "config.yaml").write_text(config.replace("protocol: {", "protocol: {sequences: list.txt, "))
    assert evaluate()[1]["test/HOTA"] == pytest.approx(HALF)
    assert main(["evaluate", f"run={run}", "split=val"]) == 0
    assert json.loads((run / "metrics_val.json").read_text())["val/HOTA"] == pytest.approx(100 * np.sqrt(3 / 4))
    assert main(["evaluate", f"run={run}", "split=val", f"protocol.sequences={tmp_path / 'list.txt'}"]) == 2
    assert "protocol.sequences is given with split=val" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["0005+cars", "0113+cars"], r"list.txt:2: there is no video '0113' in the data.*The nearest is 0013"),
        (["0005+cars", "", "0011+left-car"], "list.txt:3: video 0011 has no expression 'left-car'.*The nearest is left-cars"),
        (["0005"], r"list.txt:1: the line '0005' names no sequence. Expected lines `video\+expression`"),
        (["0005+cars", "0005+cars"], r"list.txt:2: the sequence '0005\+cars' is in line 1, too"),
        ([""], "list.txt: the file lists no sequence"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line_and_the_nearest_name(evaluate, tmp_path, lines, words):
    status, _, said = evaluate(f"protocol.sequences={listing(tmp_path, *lines)}")
    assert status == 2
    assert re.search(words, said)


def test_other_forms_of_a_line_name_the_same_sequence(tmp_path):
    lines = "a+red-cars", "b,red-cars.json", "c\tred cars", "d/red-cars", "AVA/e+red-cars", "f red-cars"
    found = read_sequence_list(listing(tmp_path, "name", "# the test set", *lines))
    assert list(found.names) == ["a", "b", "c", "d", "AVA/e", "f"]
    expressions = (Expression("blue cars", "blue-cars"), Expression("red cars", "red-cars"))
    assert all(found.chosen(video, expressions) == [1] for video in found.names)
    assert len(found) == 6


def test_the_published_lists_are_read():
    folder = Path(__file__).parents[2].parent / "shared/data/seqmaps"
    if not folder.is_dir():
        pytest.skip("the published lists are not beside this checkout")
    counts = {path.stem: len(read_sequence_list(path)) for path in folder.glob("*.txt")}
    assert counts == {"kitti-1": 150, "kitti-2": 862, "dance": 425, "MOT17": 5, "VisDrone": 16}


def test_a_list_says_which_scores_must_be_there(evaluate, run, tmp_path):
    """Scores of one expression alone are enough where the list names no other."""
    for name in VIDEOS:
        results = read_results(run / "scores", name)
        write_pairs(run / "scores", PairResults(name, results.tracks, EXPRESSIONS[1:], np.array(results.logits[:, 1:])))
    write_expressions(run / "scores", dict.fromkeys(VIDEOS, EXPRESSIONS[1:]))
    assert "1 of the 2 expressions of video 0005 have no scores: cars." in evaluate()[2]
    lines = [f"{name}+left-cars" for name in VIDEOS]
    assert evaluate(f"protocol.sequences={listing(tmp_path, *lines)}")[1]["test/HOTA"] == pytest.approx(HALF)


def test_videos_and_expressions_without_scores_are_refused_or_count_as_empty(evaluate, run):
    (run / "scores/0011.npz").unlink()
    status, _, said = evaluate()
    assert status == 2
    assert "scores/0011.npz: 1 of 3 videos have no scores: 0011. Expected scores of every video" in said
    assert "missing=empty` counts them as nothing predicted" in said
    status, found, said = evaluate("missing=empty")
    assert found["test/HOTA_mean_over_expressions"] == pytest.approx((200 + 2 * HALF) / 6)
    assert found["test/zero_HOTA_expressions"] == 2
    assert found["oracle/DetRe"] == pytest.approx(100 * 2 / 3)
    assert "2 sequences without predictions count as empty: 0011+cars, 0011+left-cars" in said
    results = read_results(run / "scores", "0013")
    write_pairs(run / "scores", PairResults("0013", results.tracks, EXPRESSIONS[:1], np.array(results.logits[:, :1])))
    write_expressions(run / "scores", {"0005": EXPRESSIONS, "0013": EXPRESSIONS[:1]})
    assert "1 of the 2 expressions of video 0013" in evaluate("videos=['0005','0013']")[2]
    assert evaluate("missing=empty")[1]["test/HOTA_mean_over_expressions"] == pytest.approx((200 + HALF) / 6)
    assert "missing is 'skip'. Expected error or empty" in evaluate("missing=skip")[2]


def test_sequences_without_predictions_in_a_folder_are_refused_with_the_list_or_count_as_empty(tmp_path, capsys):
    folder = tmp_path / "results"
    for name in ("v/a", "v/b", "w/c"):
        sequence(folder, moving(), moving() if name == "v/a" else None, name)
    assert main(["evaluate", f"results={folder}"]) == 2
    assert f"{folder}/v/b/predict.txt: 2 of 3 sequences have no predict.txt: v/b, w/c." in capsys.readouterr().err
    assert main(["evaluate", f"results={folder}", "missing=empty", f"out={tmp_path / 'out.json'}"]) == 0
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary["pooled"]["DetRe"] == pytest.approx(1 / 3)
    assert {name: values["HOTA"] for name, values in summary["sequences"].items()} == {"v+a": 1, "v+b": 0, "w+c": 0}
    assert "2 sequences without predictions count as empty: v+b, w+c" in capsys.readouterr().out
    assert main(["evaluate", f"results={folder}", f"protocol.sequences={listing(tmp_path, 'v+a')}"]) == 2
    (folder / "v/b/gt.txt").unlink()
    assert main(["evaluate", f"results={folder}", "missing=empty"]) == 2
    assert "1 of 3 sequences have no gt.txt: v/b" in capsys.readouterr().err


def test_a_list_chooses_among_the_sequences_of_a_folder(tmp_path, capsys):
    folder = sequence(tmp_path / "results", moving(), moving(), "v/a")
    sequence(folder, moving(), TrackSet.empty(), "v/b")
    out = tmp_path / "out.json"
    assert main(["evaluate", f"results={folder}", f"protocol.sequences={listing(tmp_path, 'v+a')}", f"out={out}"]) == 0
    assert json.loads(out.read_text())["pooled"]["HOTA"] == pytest.approx(1)
    assert "leaves out 1: v+b" in capsys.readouterr().out
    assert main(["evaluate", f"results={folder}", f"protocol.sequences={listing(tmp_path, 'v+aa')}"]) == 2
    assert "list.txt:1: video v has no expression 'aa' in the data" in capsys.readouterr().err


def test_predictions_and_truth_may_number_their_first_frame_differently(tmp_path, capsys):
    folder, out = sequence(tmp_path / "results", moving(), None), tmp_path / "out.json"
    write_mot(folder / "v/cars/predict.txt", moving(), first_frame=0)
    assert main(["evaluate", f"results={folder}"]) == 2
    said = capsys.readouterr().err
    assert "predict.txt:1: the frame is 0. Expected a whole number from 1 on. Set predictions_first_frame" in said
    assert main(["evaluate", f"results={folder}", "predictions_first_frame=0", f"out={out}"]) == 0
    assert json.loads(out.read_text())["pooled"]["HOTA"] == pytest.approx(1)
    shutil.copyfile(folder / "v/cars/predict.txt", folder / "v/cars/gt.txt")
    assert main(["evaluate", f"results={folder}", "first_frame=0", f"out={out}"]) == 0
    assert json.loads(out.read_text())["pooled"]["HOTA"] == pytest.approx(1)
    with pytest.raises(ConfigError, match=r"first_frame is 'one'\. Expected a whole number"):
        Rules(first_frame="one")


def test_rows_that_an_option_drops_from_a_folder_are_told(tmp_path, caplog):
    folder = sequence(tmp_path / "results", moving(), moving())
    for name in ("v/b", "v/c"):
        sequence(folder, moving(), moving(), name)
        predict = folder / name / "predict.txt"
        predict.write_text(predict.read_text() + "1,-1,5,5,9,9,1,-1,-1,-1\n")
    assert main(["evaluate", f"results={folder}", "unidentified=drop"]) == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}/v/b/predict.txt: 2 rows of this and 1 other files are left out that have no identity (-1)"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t, None),
        (lambda t: TrackSet.build(t.frame[t.frame < 29] + 1, t.identity[t.frame < 29], t.box[t.frame < 29]),
         "moved by -1 frames.*predictions_first_frame=2 tells"),
        (lambda t: TrackSet.build(t.frame, t.identity, t.box * 0.5), "half the size, 0.5 times"),
        (lambda t: TrackSet.build(t.frame, t.identity, t.box * 2), "double the size, 2 times"),
        (lambda t: TrackSet.build(t.frame, t.identity, t.box / [1242, 375, 1242, 375]), "normalised, as fractions"),
        (lambda t: TrackSet.build(t.frame, t.identity, np.concatenate([t.box[:, :2], t.box[:, :2] + t.box[:, 2:]], 1)),
         "corners instead of"),
    ],
)  # fmt: skip
def test_a_shift_or_another_unit_is_a_hint_beside_the_score(tmp_path, capsys, change, words):
    folder = sequence(tmp_path / "results", moving(), change(moving()))
    sequence(folder, moving(), change(moving()), "w/cars")
    assert main(["evaluate", f"results={folder}"]) == 0
    hints = [line for line in capsys.readouterr().out.splitlines() if line.startswith("hint: ")]
    assert len(hints) == (words is not None)
    if words:
        assert re.search("videos v, w: .*" + words, hints[0])


def test_a_run_s_scores_in_another_unit_are_hinted_at(evaluate, run):
    write_answers(run / "scores", [1, 2])
    assert "hint:" not in evaluate()[2]


def test_a_first_frame_is_named_for_scores_of_moving_tracks(tmp_path):
    from flexhook.evaluation.evaluator import evaluate_videos
    from flexhook.evaluation.hints import Hints
    from flexhook.media.images import ImageFiles
    from flexhook.structures import Video, make_labels

    truth, cars, said = moving(), EXPRESSIONS[:1], []
    late = TrackSet.build(truth.frame + 1, truth.identity, truth.box).select(truth.frame < 29)
    labels = make_labels(np.arange(len(truth)), np.zeros(len(truth)), (len(truth), 1))
    video = Video("v", (375, 1242), ImageFiles(["none"] * 30), truth, cars, labels)
    hints = Hints("tracker.first_frame of `flexhook score`")
    evaluate_videos([(video, PairResults("v", late, cars, np.zeros((len(late), 1, 2), np.float32)))], hints=hints)
    hints.say(said.append)
    assert len(said) == 1
    assert "moved by -1 frames" in said[0] and "tracker.first_frame of `flexhook score` tells" in said[0]
    with pytest.raises(InputError):
        read_sequence_list(tmp_path / "none.txt")
