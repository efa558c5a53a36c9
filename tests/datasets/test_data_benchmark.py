"""The benchmark of reading: it measures what it says, on files of the size that it is asked for."""

import pytest

from flexhook.benchmarks.data import run
from flexhook.errors import InputError


def test_reading_is_measured_from_files_and_from_the_cache(capsys):
    arguments = ["--videos=2", "--boxes=300", "--expressions=12", "--frames=20", "--share=0.5"]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "2 videos, 40 frames, 300 boxes, 12 expression files" in out
    rows = {line[:24].strip(): line[24:].split() for line in out.splitlines()[2:5]}
    assert set(rows) == {"files", "files, then the cache", "cache"}
    assert len({row[3] for row in rows.values()}) == 1  # every way reads as many referents
    assert 600 < int(rows["cache"][3].replace(",", "")) < 1200  # half of 12 x 150 pairs


def test_nothing_to_read_is_refused():
    with pytest.raises(InputError, match="below 1"):
        run(["--videos=0"])
