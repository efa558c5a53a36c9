"""``flexhook evaluate`` as it is typed: results folders, runs, folders of scores, and what is wrong with them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from evaluate_world import EXPRESSIONS, VIDEOS, write_answers

from flexhook.commands.main import main

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "evaluation"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield
    assert list((tmp_path / "here").iterdir()) == []  # nothing is left where the command is run


def metrics(folder, name="metrics.json"):
    return json.loads((folder / name).read_text())


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden values lie beside the checkout, in ../shared/golden")
@pytest.mark.parametrize("engine", ["fast", "trackeval"])
def test_a_results_folder_gives_the_golden_file(tmp_path, capsys, engine):
    out = tmp_path / "out" / "scores.json"
    assert main(["evaluate", f"results={GOLDEN / 'sequences'}", f"out={out}", f"engine={engine}"]) == 0
    found, expected = json.loads(out.read_text()), json.loads((GOLDEN / "expected.json").read_text())
    assert found.keys() == expected.keys()
    assert found["sequences"].keys() == expected["sequences"].keys()
    assert found["pooled"] == pytest.approx(expected["pooled"], abs=1e-9, rel=0)
    for name, values in expected["sequences"].items():
        assert found["sequences"][name] == pytest.approx(values, abs=1e-9, rel=0)
    printed = capsys.readouterr().out
    assert "82 (video, expression) sequences" in printed
    assert "48.77" in printed and printed.rstrip().endswith(f"the scores lie in {out}")


def test_a_run_gets_its_metrics_table_and_sequences(run, capsys):
    """DetA of "left cars" is 1 / 2: both cars accepted, one meant; the other expression is right."""
    (run / "metrics.json").write_text('{"val/F1": 12.5, "test/HOTA": 3}')
    assert main(["evaluate", f"run={run}"]) == 0
    found = metrics(run)
    assert found["val/F1"] == 12.5
    assert found["test/HOTA_mean_over_expressions"] == pytest.approx(100 * (1 + np.sqrt(0.5)) / 2)
    assert found["test/HOTA"] == pytest.approx(100 * np.sqrt(3 / 4))
    assert found["oracle/HOTA"] == pytest.approx(100)
    assert found["accept_all/HOTA"] == pytest.approx(found["test/HOTA"])
    with open(run / "expressions.csv", newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["video"], row["slug"]) for row in rows] == [(v, e.slug) for v in VIDEOS for e in EXPRESSIONS]
    assert sorted(path.name for path in run.iterdir()) == [
        "config.yaml", "expressions.csv", "metrics.json", "scores", "sequences.npz",
    ]  # fmt: skip
    printed = capsys.readouterr().out
    assert "evaluated video 0013: 2 expressions" in printed
    assert printed.rstrip().endswith(f"lie in {run}")


def test_the_published_protocol_drops_one_observation_per_track_and_says_so(run, capsys):
    """Two of ten boxes are not predicted: recall 8 / 10."""
    remark = "  A track's last observation was never judged."
    (run / "meta.json").write_text('{"seed": 3, "remarks": []}')
    main(["evaluate", f"run={run}", "protocol=published"])
    assert metrics(run)["test/DetRe"] == pytest.approx(80)
    said = capsys.readouterr().out.splitlines()
    assert said[said.index("protocol=published:") + 1] == remark
    assert metrics(run, "meta.json") == {"seed": 3, "remarks": [remark.strip()]}
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("true}", "false}"))
    main(["evaluate", f"run={run}", "protocol=default"])
    assert metrics(run)["test/DetRe"] == pytest.approx(100)
    assert metrics(run, "meta.json")["remarks"] == []
    assert "protocol=" not in capsys.readouterr().out
    main(["evaluate", f"run={run}"])
    assert metrics(run)["test/DetRe"] == pytest.approx(80)


def test_scores_with_named_data(tmp_path, dataset):
    folder = write_answers(tmp_path / "mine", [1])
    assert main(["evaluate", f"scores={folder}", "data=refer_kitti", f"data.root={dataset}", "processes=2"]) == 0
    assert metrics(folder)["test/HOTA"] == pytest.approx(100)
    assert main(["evaluate", f"scores={folder}", "data=refer_kitti", f"data.root={dataset}", f"out={tmp_path / 'o'}"]) == 0
    assert metrics(tmp_path / "o") == metrics(folder)


def test_scores_inside_a_run_are_evaluated_into_the_run(run, dataset):
    assert main(["evaluate", f"scores={run / 'scores'}", "data=refer_kitti", f"data.root={dataset}"]) == 0
    assert (run / "metrics.json").is_file()


def test_data_that_have_moved(run, dataset, capsys):
    moved = dataset.rename(dataset.with_name("moved"))
    assert main(["evaluate", f"run={run}"]) == 2
    said = capsys.readouterr().err
    assert f"run/config.yaml: the data of the run, without a name, are not in {dataset}" in said
    assert "Give data.root=FOLDER, or run the command where the training ran" in said
    for option in ("data.root", "+data.root"):
        assert main(["evaluate", f"run={run}", f"{option}={moved}"]) == 0
    assert main(["render", str(run), "--best", "1", "--worst", "0"]) == 2
    assert "Give --data root=FOLDER, or run the command" in capsys.readouterr().err
    assert main(["evaluate", f"scores={run / 'scores'}", "data=refer_kitti"]) == 2
    assert "the dataset's folder is not named. Expected data.root=FOLDER" in capsys.readouterr().err


def test_other_splits_and_single_videos(run):
    assert main(["evaluate", f"run={run}", "split=val"]) == 0
    assert metrics(run, "metrics_val.json")["val/expressions"] == 2
    assert not (run / "metrics.json").exists()
    assert main(["evaluate", f"run={run}", "videos=['0005','0011']"]) == 0
    assert metrics(run, "metrics_part.json")["test/expressions"] == 4
    assert not (run / "metrics.json").exists()


def test_the_trackeval_layout_scores_the_same(tmp_path, run):
    out, place = tmp_path / "scores.json", tmp_path / "sequences"
    assert main(["evaluate", f"run={run}", f"trackeval={place}"]) == 0
    assert (place / "0005" / "left-cars" / "gt.txt").read_text().startswith("1,1,100.0,50.0,100.0,50.0,1,1,1\n2,1,")
    assert main(["evaluate", f"results={place}", f"out={out}"]) == 0
    found, wanted = json.loads(out.read_text()), metrics(run)
    assert len(found["sequences"]) == 6
    for name, value in found["pooled"].items():
        assert 100 * value == pytest.approx(wanted[f"test/{name}"], abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "none of results, run and scores given"),
        (["results=a", "run=b"], "results and run given"),
        (["results=nowhere"], "nowhere: the folder does not exist"),
        (["run=nowhere"], "nowhere"),
        (["scores=nowhere"], "nowhere: there is no folder of scores"),
        (["run={run}", "engine=slow"], "engine 'slow' is unknown"),
        (["run={run}", "processes=0"], "0 processes"),
        (["run={run}", "processes=two"], "two processes cannot"),
        (["run={run}", "split=holdout"], "holdout"),
        (["run={run}", "videos=['0099']"], "no video '0099'"),
        (["run={run}", "videos=5"], "no video 5"),
        (["run={run}", "videos=0099"], "Numbers need quotes"),
        (["scores={run}/scores"], "dataset is not named"),
        (["results={run}", "out={run}"], "out is a folder"),
        (["result=a"], "result"),
        (["run={run}", "data=unknown"], "unknown"),
    ],
)
def test_mistakes_end_in_one_message(run, capsys, arguments, message):
    assert main(["evaluate", *(argument.format(run=run) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "flexhook evaluate: " in error
    assert "Traceback" not in error


def test_missing_and_broken_scores_end_in_one_message(run, capsys):
    path = run / "scores" / "0011.npz"
    path.write_bytes(path.read_bytes()[:500])
    assert main(["evaluate", f"run={run}"]) == 2
    assert "0011.npz: the scores are truncated or corrupted" in capsys.readouterr().err
    path.unlink()
    assert main(["evaluate", f"run={run}"]) == 2
    assert "1 of 3 videos have no scores: 0011" in capsys.readouterr().err
    assert not (run / "metrics.json").exists()
    (run / "metrics.json").write_text("{")
    write_answers(run / "scores", [1])
    assert main(["evaluate", f"run={run}"]) == 2
    assert "metrics.json:1: the file is not JSON" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["data: [", "- a", "data: ${nothing}", "", "data: {reader: {_target_: nothing.Here}}"])
def test_a_broken_run_configuration_ends_in_one_message(run, capsys, text):
    (run / "config.yaml").write_text(text)
    assert main(["evaluate", f"run={run}"]) == 2
    error = capsys.readouterr().err
    assert "flexhook evaluate: " in error and "Traceback" not in error


def test_configuration_without_work(capsys):
    assert main(["evaluate", "--cfg", "job", "results=a"]) == 0
    printed = capsys.readouterr().out
    assert "results: a" in printed and "engine: fast" in printed
