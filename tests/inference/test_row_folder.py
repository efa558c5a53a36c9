"""Results per expression on disk before their file is whole: one process at a time, and what is damaged is made again."""

import os

import numpy as np
import pytest
from made_up_results import Killed, MadeUpReader, RowMethod

from flexhook.errors import InputError
from flexhook.inference.prediction import score_videos
from flexhook.inference.result_writer import BlockWriter
from flexhook.structures import TrackSet

READER = MadeUpReader(a=4)
EXPRESSIONS = READER.named["a"]


def writer(folder, model="m"):
    return BlockWriter(folder, "a", EXPRESSIONS, model=model)


def write(block, k, number=1):
    tracks = TrackSet.build([0, 1], [k, k], [[number, 2.0, 30, 40]] * 2)
    block.write(EXPRESSIONS[k], tracks, np.full(2, 0.5), np.ones(2, bool))


def score(folder, **settings):
    method = RowMethod(**settings)
    score_videos(method, READER, ["a"], folder, say=str)
    return method


@pytest.fixture
def killed(tmp_path):
    """A folder of results after a kill: two of four expressions are there."""
    with pytest.raises(Killed):
        score(tmp_path / "out", kill_after=2)
    return tmp_path / "out"


@pytest.fixture
def whole(tmp_path):
    score(tmp_path / "whole")
    return (tmp_path / "whole/a.npz").read_bytes()


@pytest.mark.parametrize("model", ["m", "other"])
def test_one_writer_at_a_time(tmp_path, model):
    with writer(tmp_path) as first:
        write(first, 0)
        for _ in range(2):
            with writer(tmp_path, model) as second, pytest.raises(
                InputError, match=r"another process is writing the scores of video a.*Wait for it, or choose another"
            ):
                second.missing()
        for k in (1, 2, 3):
            write(first, k)
        first.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_writer_of_logits_and_one_of_rows_exclude_each_other(tmp_path):
    tracks = TrackSet.build([0], [1], [[0, 0, 1, 1]])
    with writer(tmp_path) as rows:
        assert rows.missing() == EXPRESSIONS
        with writer(tmp_path) as other, pytest.raises(InputError, match="another process"):
            other.pairs(tracks)
        with rows.pairs(tracks) as pairs:  # asked what is missing first, and scores all pairs then
            pairs.write(0, np.zeros((1, 4, 2)))
            pairs.finish()
        rows.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_writer_goes_on_with_its_own_job_and_throws_another_away(tmp_path):
    with writer(tmp_path) as first:
        write(first, 2)
    with writer(tmp_path) as again:
        assert again.missing() == (*EXPRESSIONS[:2], EXPRESSIONS[3])
    with writer(tmp_path, "other") as other:
        assert other.missing() == EXPRESSIONS
    with writer(tmp_path) as again:
        assert again.missing() == EXPRESSIONS


@pytest.mark.parametrize("content", ["cut", "empty", "zeros", "another file", "lengths"])
def test_a_damaged_part_is_made_again_with_a_notice(killed, whole, caplog, content):
    part = killed / ".a.partial/0.npz"
    size = part.stat().st_size
    if content == "lengths":
        with np.load(part) as data:
            np.savez(part, **{**data, "accepted": data["accepted"][:1]})
    else:
        written = {"cut": part.read_bytes()[: size // 2], "empty": b"", "zeros": bytes(size), "another file": b"text"}
        part.write_bytes(written[content])
    assert score(killed).predicted == 3
    assert (killed / "a.npz").read_bytes() == whole
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "0.npz is damaged" in caplog.text and "'sentence 0' are made again" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xfd", b"0" * 64])
def test_parts_of_no_known_job_are_thrown_away(killed, whole, content):
    (killed / ".a.partial/job").write_bytes(content)
    assert score(killed).predicted == 4
    assert (killed / "a.npz").read_bytes() == whole


def test_undamaged_parts_are_taken_over(killed, whole, caplog):
    assert score(killed).predicted == 2
    assert (killed / "a.npz").read_bytes() == whole and not caplog.records


def test_a_part_that_is_damaged_meanwhile_is_one_message_and_made_again(tmp_path):
    with writer(tmp_path) as first:
        for k in range(4):
            write(first, k)
        (tmp_path / ".a.partial/1.npz").write_bytes(b"")
        with pytest.raises(InputError, match=r"1\.npz: the results of 'sentence 1' do not read.*Run the command again"):
            first.finish()
    with writer(tmp_path) as again:
        assert again.missing() == EXPRESSIONS[1:2]
        write(again, 1)
        again.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_what_a_kill_after_the_file_was_whole_leaves_is_removed(killed, whole):
    (killed / "a.npz").write_bytes(whole)
    assert score(killed).predicted == 0
    assert sorted(path.name for path in killed.iterdir()) == ["a.npz", "expressions.json"]


def test_a_folder_that_cannot_be_made_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with writer(tmp_path / "file") as rows, pytest.raises(
        InputError, match=r"\.a\.partial: the folder of scores cannot be written .*Choose another output folder"
    ):
        rows.missing()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_one_message(tmp_path):
    tmp_path.chmod(0o500)
    with writer(tmp_path) as rows, pytest.raises(InputError, match="the folder of scores cannot be written"):
        rows.missing()
