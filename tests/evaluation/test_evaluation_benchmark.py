"""``flexhook bench evaluation`` runs without ../shared, and its two sides agree."""

import numpy as np
import pytest

from flexhook.benchmarks.evaluation_content import FRAMES, VIDEOS, contents, write_content
from flexhook.benchmarks.evaluation_speed import run
from flexhook.errors import InputError


def test_the_table_has_baseline_ratio_profile_and_memory(tmp_path, capsys):
    assert run(["--data", str(tmp_path / "nowhere"), "--expressions", "3", "--every", "4"]) == 0
    printed = capsys.readouterr().out
    assert "content: moving boxes" in printed
    assert "12 sequences over 4 videos" in printed
    assert "3 sequences, scaled" in printed
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line}
    cpu, _wall, peak, ratio = map(float, rows["flexhook"][1:])
    assert 0 < cpu < 20 and 30 < peak < 2000
    assert ratio > 2
    assert "where our time goes: reading" in printed and "Identity" in printed
    assert float(printed.rsplit(" ", 1)[1]) < 1e-9


def test_made_content_has_the_size_of_the_test_set():
    made = list(contents(None))
    assert sum(len(content.slugs) for content in made) == 862
    for content, (source, count) in zip(made, VIDEOS.values(), strict=True):
        assert len(content.slugs) == count
        assert 0.9 * FRAMES[source] < content.truth.frame.max() + 1 <= FRAMES[source]
        assert 5 < len(content.truth) / FRAMES[source] < 15


def test_content_is_the_same_every_time(tmp_path):
    content = next(contents(None)).limited(2)
    rows = [write_content(tmp_path / name, content) for name in "ab"]
    assert rows[0] == rows[1] > 100
    files = [sorted(path for path in (tmp_path / name).rglob("*.txt")) for name in "ab"]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert np.unique([path.stat().st_size for path in files[0]]).size > 1


def test_a_senseless_share_is_refused():
    with pytest.raises(InputError, match="--every is 0"):
        run(["--every", "0"])
