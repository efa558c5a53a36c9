"""Score files are whole, checked when they are read, and a stopped writer goes on where it was."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from flexhook.errors import InputError
from flexhook.inference.pair_writer import PairWriter
from flexhook.structures import Expression, TrackSet
from flexhook.structures.result_files import (
    PairResults,
    read_expressions,
    read_results,
    scored_videos,
    write_expressions,
    write_pairs,
)
from flexhook.structures.result_folder import merge_expressions, require_one_model

EXPRESSIONS = (
    Expression("cars turning left", "cars-turning-left", ("unseen_combination",)),
    Expression("men's bikes", "men's-bikes"),
    Expression("自動車", "car-ja"),
)


def tracks(n=7):
    rng = np.random.default_rng(3)
    return TrackSet.build(
        np.arange(n) // 2,
        np.arange(n) % 2 + 5,
        np.concatenate([corner := rng.uniform(-10, 300, (n, 2)), corner + rng.uniform(1, 90, (n, 2))], axis=1),
        category=np.arange(n) % 2,
        confidence=rng.uniform(size=n),
        categories=("car", "pedestrian"),
    )


def scores(n=7, video="0005"):
    logits = np.random.default_rng(n).normal(size=(n, 3, 2)).astype(np.float32)
    return PairResults(video, tracks(n), EXPRESSIONS, logits)


@pytest.fixture
def folder(tmp_path):
    write_pairs(tmp_path, scores())
    write_expressions(tmp_path, {"0005": EXPRESSIONS})
    return tmp_path


def test_what_was_written_is_read(folder):
    wanted, found = scores(), read_results(folder, "0005")
    for name in ("frame", "identity", "box", "category", "confidence"):
        a, b = getattr(wanted.tracks, name), getattr(found.tracks, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert found.tracks.categories == ("car", "pedestrian")
    assert found.expressions == EXPRESSIONS
    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(found.logits, wanted.logits)


def test_an_expression_is_accepted_when_yes_exceeds_no():
    logits = np.array([[[0.0, 0.0], [1, 2], [2, 1]]], np.float32)
    held = PairResults("v", tracks(1), EXPRESSIONS, logits)
    assert held.accepted.tolist() == [[False, True, False]]
    np.testing.assert_allclose(held.probability, [[0.5, 1 / (1 + np.exp(-1)), 1 / (1 + np.e)]], rtol=1e-6)


def test_logits_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(7, 3, 2\) expected, \(7, 2\) found"):
        PairResults("v", tracks(), EXPRESSIONS, np.zeros((7, 2), np.float32))


def test_videos_without_observations_and_in_subfolders(tmp_path):
    empty = PairResults("TAO/YFCC100M/v_1.2", TrackSet.empty(("car",)), EXPRESSIONS, np.zeros((0, 3, 2), np.float32))
    write_pairs(tmp_path, empty)
    write_pairs(tmp_path, scores(video="MOT17-02.FRCNN"))
    write_expressions(tmp_path, {empty.video: EXPRESSIONS, "MOT17-02.FRCNN": EXPRESSIONS})
    assert scored_videos(tmp_path) == ["MOT17-02.FRCNN", "TAO/YFCC100M/v_1.2"]
    assert len(read_results(tmp_path, empty.video).tracks) == 0
    assert scored_videos(tmp_path / "nowhere") == []


def test_equal_scores_give_equal_bytes(tmp_path):
    one, other = write_pairs(tmp_path / "a", scores()), write_pairs(tmp_path / "b", scores())
    assert one.read_bytes() == other.read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["0005.npz"]


def test_every_truncation_and_every_flipped_byte_is_noticed(folder):
    """Whatever a stopped copy or a bad disk leaves: an InputError, or (a byte that carries nothing) the same scores."""
    path, wanted = folder / "0005.npz", scores()
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="Score the video again"):
            read_results(folder, "0005")
    noticed = 0
    for at in range(0, len(whole), 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            found = read_results(folder, "0005")
        except InputError:
            noticed += 1
        else:
            np.testing.assert_array_equal(found.logits, wanted.logits)
            np.testing.assert_array_equal(found.tracks.box, wanted.tracks.box)
    assert noticed > 0.5 * len(range(0, len(whole), 13))


def test_missing_scores_name_those_that_exist(folder):
    with pytest.raises(InputError, match=r"video 0011 has no scores.*0005"):
        read_results(folder, "0011")
    with pytest.raises(InputError, match="a folder of scores"):
        read_results(folder / "none", "0011")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", r"expressions.json:1: .*not JSON"),
        ("[]", "no JSON object"),
        ('{"0005": [{"sentence": "a"}]}', "malformed"),
        ('{"0005": [{"sentence": 3, "slug": "a"}]}', "malformed"),
        ("{}", "video 0005 is missing"),
        ('{"0005": [{"sentence": "a", "slug": "a"}]}', "slugs has the shape"),
    ],
)
def test_expressions_that_do_not_fit_are_refused(folder, content, message):
    path = folder / "expressions.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_results(folder, "0005")


def test_expressions_in_another_order_are_refused(folder):
    write_expressions(folder, {"0005": EXPRESSIONS[::-1]})
    with pytest.raises(InputError, match=r"not those of expressions\.json"):
        read_results(folder, "0005")


def test_expressions_file_is_readable_text(folder):
    content = json.loads((folder / "expressions.json").read_text(encoding="utf-8"))
    assert content["0005"][2] == {"sentence": "自動車", "slug": "car-ja", "tags": []}
    assert read_expressions(folder) == {"0005": EXPRESSIONS}


def test_scores_that_are_not_finite_are_refused(tmp_path):
    bad = scores()
    bad.logits[3, 1, 0] = np.nan
    with pytest.raises(InputError, match="1 scores of video 0005 are not finite"):
        write_pairs(tmp_path, bad)
    assert not list(tmp_path.rglob("*.npz"))


def test_pieces_in_any_order_give_the_file_of_the_whole(tmp_path, folder):
    wanted = scores()
    with PairWriter(tmp_path / "pieces", "0005", wanted.tracks, EXPRESSIONS) as writer:
        assert writer.missing() == [(0, 7)]
        writer.write(5, wanted.logits[5:])
        writer.write(0, wanted.logits[:2])
        assert writer.missing() == [(2, 5)]
        with pytest.raises(ValueError, match=r"rows \[\(2, 5\)\]"):
            writer.finish()
        assert scored_videos(tmp_path / "pieces") == []
        writer.write(1, wanted.logits[1:5])
        path = writer.finish()
        assert writer.finished
    assert path.read_bytes() == (folder / "0005.npz").read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["0005.npz"]


def test_a_writer_goes_on_only_with_its_own_job(tmp_path):
    wanted = scores()

    def writer(key="a", rows=wanted.tracks, expressions=EXPRESSIONS):
        return PairWriter(tmp_path, "0005", rows, expressions, key=key)

    with writer() as first:
        first.write(2, wanted.logits[2:4])
    with writer() as again:
        assert again.written.tolist() == [False, False, True, True, False, False, False]
    with writer(key="b") as other:
        assert not other.written.any()
        other.write(0, wanted.logits)
        other.finish()
    assert writer(key="b").finished and writer(key="b").missing() == []
    assert not writer(key="a").finished
    assert not writer(key="b", expressions=EXPRESSIONS[::-1]).finished
    assert not writer(key="b", rows=tracks(7).select(np.arange(6))).finished
    moved = TrackSet.build(wanted.tracks.frame, wanted.tracks.identity, wanted.tracks.box + 1e-9)
    assert not writer(key="b", rows=moved).finished


def test_no_expressions_and_no_observations(tmp_path):
    for name, rows, expressions in (
        ("a", tracks(), ()),
        ("b", TrackSet.empty(), EXPRESSIONS),
        ("c", TrackSet.empty(), ()),
    ):
        with PairWriter(tmp_path, name, rows, expressions) as writer:
            for start, stop in writer.missing():
                writer.write(start, np.zeros((stop - start, len(expressions), 2)))
            writer.finish()
    write_expressions(tmp_path, {"a": (), "b": EXPRESSIONS, "c": ()})
    assert [read_results(tmp_path, name).logits.shape for name in "abc"] == [(7, 0, 2), (0, 3, 2), (0, 0, 2)]


def test_a_writer_killed_after_its_file_was_whole_leaves_nothing_for_ever(tmp_path):
    wanted = scores()
    with PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS) as writer:
        writer.write(0, wanted.logits)
    write_pairs(tmp_path, wanted)
    assert len(list(tmp_path.iterdir())) == 2
    assert PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS).finished
    assert [path.name for path in tmp_path.iterdir()] == ["0005.npz"]


def test_a_corrupted_finished_file_is_scored_again(tmp_path):
    wanted = scores()
    path = write_pairs(tmp_path, wanted)
    assert PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS).finished
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    assert not PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS).finished
    at = whole.index(wanted.logits[3].tobytes())
    path.write_bytes(whole[:at] + b"\0\0" + whole[at + 2 :])
    assert not PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS).finished


def test_whatever_byte_is_damaged_a_finished_file_is_scored_again_or_the_same(tmp_path):
    """Compression methods, flags, versions and headers that zipfile and numpy refuse in ways of their own."""
    wanted = scores(2)
    path = write_pairs(tmp_path, wanted)
    whole, again = path.read_bytes(), 0
    for mask in (0x01, 0x41, 0xFF):
        for at in range(0, len(whole), 3):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            with PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS) as writer:
                again += not writer.finished
    assert again > len(whole) // 2


def test_one_writer_at_a_time(tmp_path):
    """Two jobs in one folder would throw each other's pieces away; the second is told so, whatever its job is."""
    wanted = scores()
    first = PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS)
    first.write(0, wanted.logits[:3])
    for key in ("", "other"):
        with pytest.raises(InputError, match=r"another process is writing the scores of video 0005.*Wait for it"):
            PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS, key=key)
    write_pairs(tmp_path, wanted)
    assert PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS).finished  # looks, and leaves the other's pieces
    first.write(3, wanted.logits[3:])
    first.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["0005.npz"]
    with PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS, key="other") as second:
        assert not second.written.any()


def test_scores_of_several_models_are_not_looked_at_together(tmp_path):
    for video, model in (("a", "one"), ("b/c", "two"), ("d", "one")):
        write_pairs(tmp_path, scores(video=video), model=model)
    require_one_model(tmp_path, ["a", "d", "not there"])
    with pytest.raises(InputError, match=r"made by 2 models or settings: b/c\.npz; a\.npz, d\.npz\. .*`flexhook score` again"):
        require_one_model(tmp_path, ["a", "b/c", "d"])
    (tmp_path / "b/c.npz").write_bytes((tmp_path / "b/c.npz").read_bytes()[:700])
    require_one_model(tmp_path, ["a", "b/c", "d"])  # reading it will say what is wrong


def test_entries_of_other_videos_stay_where_their_scores_are(folder):
    write_pairs(folder, scores(video="0011"))
    write_expressions(folder, {"0005": EXPRESSIONS, "0013": EXPRESSIONS})
    kept = merge_expressions(folder, {"0011": EXPRESSIONS[:1]})
    assert read_expressions(folder) == {"0005": EXPRESSIONS, "0011": EXPRESSIONS[:1]}
    assert kept == [e.sentence for e in EXPRESSIONS]
    (folder / "expressions.json").write_text("{")
    assert merge_expressions(folder, {"0011": ()}) == []
    assert read_expressions(folder) == {"0011": ()}


@pytest.mark.parametrize("shape", [(3, 3), (3, 2, 2), (6, 3, 2)])
def test_pieces_that_do_not_fit_are_refused(tmp_path, shape):
    with PairWriter(tmp_path, "0005", tracks(), EXPRESSIONS) as writer, pytest.raises(ValueError, match="do not fit"):
        writer.write(2, np.zeros(shape))


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        PairWriter(tmp_path / "file", "0005", tracks(), EXPRESSIONS)
    with pytest.raises(InputError, match="cannot be written"):
        write_pairs(tmp_path / "file", scores())


def test_a_killed_writer_loses_nothing_that_it_wrote(tmp_path):
    """A process is killed with SIGKILL after some pieces; the next one finds them and makes the same file."""
    code = textwrap.dedent("""
        import sys, os, signal
        sys.path.insert(0, sys.argv[2])
        from test_score_files import EXPRESSIONS, PairWriter, scores
        wanted = scores(7)
        writer = PairWriter(sys.argv[1], "0005", wanted.tracks, EXPRESSIONS)
        writer.write(1, wanted.logits[1:3])
        writer.write(6, wanted.logits[6:])
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    here = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), here], check=False)
    assert done.returncode == -signal.SIGKILL
    assert scored_videos(tmp_path) == []
    wanted = scores(7)
    with PairWriter(tmp_path, "0005", wanted.tracks, EXPRESSIONS) as writer:
        assert writer.missing() == [(0, 1), (3, 6)]
        for start, stop in writer.missing():
            writer.write(start, wanted.logits[start:stop])
        writer.finish()
    write_expressions(tmp_path, {"0005": EXPRESSIONS})
    np.testing.assert_array_equal(read_results(tmp_path, "0005").logits, wanted.logits)


def test_writing_needs_no_memory_for_the_whole(tmp_path):
    """200 MB of logits pass through a writer in pieces; the process grows by far less."""
    code = textwrap.dedent("""
        import resource, sys
        import numpy as np
        from flexhook.inference.pair_writer import PairWriter
        from flexhook.structures import Expression, TrackSet
        n, e = 50_000, 500
        tracks = TrackSet.build(np.arange(n), np.zeros(n), np.tile([0, 0, 1, 1], (n, 1)))
        expressions = [Expression(str(i), str(i)) for i in range(e)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with PairWriter(sys.argv[1], "v", tracks, expressions) as writer:
            for start in range(0, n, 1000):
                writer.write(start, np.full((1000, e, 2), start, np.float32))
            print(writer.finish().stat().st_size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    size, grown = map(int, done.stdout.split())
    assert size > 200e6
    assert grown < 40_000  # KiB
