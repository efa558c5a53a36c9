"""A training with a list of test sequences: only those count, and a wrong list is refused before anything is trained."""

import csv

import pytest


def test_the_test_of_a_training_counts_the_listed_sequences(toy, tmp_path):
    with_all = toy.run(tmp_path / "all")
    with open(tmp_path / "all/expressions.csv", newline="", encoding="utf-8") as lines:
        rows = [(row["video"], row["slug"], float(row["HOTA"])) for row in csv.DictReader(lines)]
    chosen = [row for row in rows if row[0] != "v"][1:]
    (tmp_path / "list.txt").write_text("\n".join(f"{video}+{slug}" for video, slug, _ in chosen))
    listed = toy.run(tmp_path / "listed", f"protocol.sequences={tmp_path / 'list.txt'}")
    mean = sum(hota for *_, hota in chosen) / len(chosen)
    assert listed["test/HOTA_mean_over_expressions"] == pytest.approx(mean)
    assert listed["test/HOTA_mean_over_expressions"] != with_all["test/HOTA_mean_over_expressions"]
    assert f"leaves out {len(rows) - len(chosen)}: u+" in (tmp_path / "listed/train.log").read_text()


def test_a_wrong_list_is_refused_before_the_training(toy, tmp_path):
    (tmp_path / "list.txt").write_text("u+no-such-cars\n")
    status, said = toy.train(tmp_path / "run", f"protocol.sequences={tmp_path / 'list.txt'}")
    assert status == 2
    assert "list.txt:1: video u has no expression 'no-such-cars'" in said
    assert not (tmp_path / "run/checkpoints").exists() and "epoch" not in said.lower()
