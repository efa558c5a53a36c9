"""The benchmark of reading: it measures what it says, on files of the size that it is asked for."""

import re

import pytest

from flexhook.benchmarks.data_speed import TARGETS, run
from flexhook.errors import InputError


def test_reading_is_measured_from_files_and_from_the_cache(capsys):
    arguments = ["--videos=2", "--boxes=300", "--expressions=12", "--frames=20", "--share=0.5"]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "cores" in out.splitlines()[0] and "torch" in out.splitlines()[0]
    assert "2 videos, 40 frames, 300 boxes, 12 expression files" in out and "the system has them in memory" in out
    rows = {line[:28].strip(): line[28:].split() for line in out.splitlines()[3:7]}
    assert list(rows) == ["json.load and dictionaries", "files", "files, then the cache", "cache"]
    assert len({row[3] for row in rows.values()}) == 1  # every way reads as many referents
    assert 600 < int(rows["cache"][3].replace(",", "")) < 1200  # half of 12 x 150 pairs
    seconds, ratio = (float(rows["cache"][k]) for k in (0, 4))
    assert ratio > 0 and seconds < 1
    parts = re.search(r"listing (\d+) %, parsing (\d+) %, assembling and checking (\d+) %", out)
    assert 98 <= sum(map(int, parts.groups())) <= 102


@pytest.mark.parametrize("missed", ["files", "cache", "memory"])
def test_a_missed_target_is_the_exit_status(monkeypatch, missed):
    monkeypatch.setitem(TARGETS, missed, 0.0)
    assert run(["--videos=1", "--boxes=30", "--expressions=2", "--frames=5"]) == 1


def test_nothing_to_read_is_refused():
    with pytest.raises(InputError, match="below 1"):
        run(["--videos=0"])
