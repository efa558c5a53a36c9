"""Blocks of a video's expressions, predicted by several processes: merged once, by their own job, after any kill."""

import pytest
from made_up_results import CATEGORIES, MadeUpReader, PairMethod, RowMethod, score_with

from flexhook.errors import InputError
from flexhook.inference.partial_folder import PartialFolder
from flexhook.inference.prediction import score_videos
from flexhook.inference.result_writer import BlockWriter, merge_blocks
from flexhook.media.images import frames_fingerprint
from flexhook.structures import TrackSet
from flexhook.structures.result_files import finished_job, read_results
from flexhook.trackers.given import GivenTracks

both = pytest.mark.parametrize("kind", [RowMethod, PairMethod])


def tracker(shift):
    return GivenTracks(TrackSet.build([0, 1], [7, 7], [[shift, 2.0, 30, 40]] * 2, categories=CATEGORIES))


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@both
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_file_of_several_processes_is_that_of_one(tmp_path, kind, count):
    reader = MadeUpReader(a=count)
    score_with(1, kind, reader, tmp_path / "one")
    for ranks in (2, 7):
        score_with(ranks, kind, reader, tmp_path / str(ranks))
        assert (tmp_path / str(ranks) / "a.npz").read_bytes() == (tmp_path / "one/a.npz").read_bytes()
        assert files(tmp_path / str(ranks)) == ["a.npz", "expressions.json"]
        assert not (tmp_path / str(ranks) / ".blocks").exists()


@both
def test_blocks_of_videos_in_folders_of_other_videos_do_not_disturb_them(tmp_path, kind):
    reader = MadeUpReader(**{"x": 4, "x/b": 4})
    score_with(1, kind, reader, tmp_path / "one")
    score_with(4, kind, reader, tmp_path / "four")
    assert files(tmp_path / "four") == files(tmp_path / "one") == ["expressions.json", "x.npz", "x/b.npz"]
    for name in ("x.npz", "x/b.npz"):
        assert (tmp_path / "four" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@both
def test_blocks_of_another_model_do_not_replace_a_finished_file(tmp_path, kind):
    """Model 1 is merged, model 2 is killed before it is merged, model 1 is asked for again."""
    reader = MadeUpReader(a=4)
    score_with(2, lambda: kind(1), reader, tmp_path)
    wanted = (tmp_path / "a.npz").read_bytes()
    score_with(2, lambda: kind(2), reader, tmp_path, kill_before_merge=True)
    assert {".blocks/a/0-of-2.npz", ".blocks/a/1-of-2.npz"} < set(files(tmp_path))
    methods = score_with(2, lambda: kind(1), reader, tmp_path)
    assert (tmp_path / "a.npz").read_bytes() == wanted
    assert [m.predicted for m in methods] == [0, 0]
    assert files(tmp_path) == ["a.npz", "expressions.json"]


@both
def test_blocks_of_another_tracker_do_not_replace_a_finished_file(tmp_path, kind):
    reader = MadeUpReader(a=4)
    score_with(2, lambda: kind(tracker=tracker(1)), reader, tmp_path)
    wanted = (tmp_path / "a.npz").read_bytes()
    score_with(2, lambda: kind(tracker=tracker(9)), reader, tmp_path, kill_before_merge=True)
    score_with(2, lambda: kind(tracker=tracker(1)), reader, tmp_path)
    assert (tmp_path / "a.npz").read_bytes() == wanted


@both
def test_blocks_that_were_not_merged_are_taken_over_by_the_same_job_only(tmp_path, kind):
    reader = MadeUpReader(a=4)
    score_with(2, lambda: kind(2), reader, tmp_path, kill_before_merge=True)
    assert sum(m.predicted for m in score_with(2, lambda: kind(1), reader, tmp_path, kill_before_merge=True)) > 0
    assert [m.predicted for m in score_with(2, lambda: kind(1), reader, tmp_path)] == [0, 0]
    score_with(1, lambda: kind(1), reader, tmp_path / "one")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "one/a.npz").read_bytes()


@both
@pytest.mark.parametrize("left", [["0-of-2"], ["1-of-2"], ["0-of-2", "1-of-2"]])
def test_a_kill_while_merged_blocks_are_removed_is_made_good(tmp_path, kind, left):
    reader = MadeUpReader(a=4)
    score_with(2, kind, reader, tmp_path, kill_before_merge=True)
    kept = {name: (tmp_path / f".blocks/a/{name}.npz").read_bytes() for name in left}
    score_with(2, kind, reader, tmp_path)
    wanted = (tmp_path / "a.npz").read_bytes()
    (tmp_path / ".blocks/a").mkdir(parents=True)
    for name, content in kept.items():
        (tmp_path / f".blocks/a/{name}.npz").write_bytes(content)
    methods = score_with(2, kind, reader, tmp_path)
    assert [m.predicted for m in methods] == [0, 0]
    assert (tmp_path / "a.npz").read_bytes() == wanted and files(tmp_path) == ["a.npz", "expressions.json"]


@both
@pytest.mark.parametrize("wrong", ["missing", "damaged", "another model's"])
def test_what_does_not_belong_together_is_not_merged_and_made_again(tmp_path, kind, wrong):
    """Asked of the merge itself; processes that predict their blocks first replace such a block."""
    reader = MadeUpReader(a=4)
    score_with(2, lambda: kind(2), reader, tmp_path, kill_before_merge=True)
    path = tmp_path / ".blocks/a/1-of-2.npz"
    of_2 = path.read_bytes()
    score_with(2, lambda: kind(1), reader, tmp_path, kill_before_merge=True)
    if wrong == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:300] if wrong == "damaged" else of_2)
    video = reader.read("a")
    with pytest.raises(InputError, match=r"1-of-2\.npz: a part of the results of video a is missing, damaged or of"):
        merge_blocks(tmp_path, "a", video.expressions, 2, key=frames_fingerprint(video), model="model 1")
    assert not (tmp_path / "a.npz").exists()
    assert sorted(m.predicted > 0 for m in score_with(2, lambda: kind(1), reader, tmp_path)) == [False, True]
    score_with(1, lambda: kind(1), reader, tmp_path / "one")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "one/a.npz").read_bytes()


@both
def test_blocks_of_other_videos_stay_for_their_own_job(tmp_path, kind):
    score_with(2, kind, MadeUpReader(a=4), tmp_path, kill_before_merge=True)
    score_with(1, kind, MadeUpReader(b=4), tmp_path)
    assert [m.predicted for m in score_with(2, kind, MadeUpReader(a=4), tmp_path)] == [0, 0]


@both
def test_results_of_another_tracker_are_made_again(tmp_path, kind):
    reader = MadeUpReader(a=3)
    for shift in (1, 9):
        method = kind(tracker=tracker(shift))
        score_videos(method, reader, ["a"], tmp_path, say=str)
        assert method.predicted > 0
        assert [item.tracks.box[0, 0] for item in read_results(tmp_path, "a")] == [shift] * 3
    again = kind(tracker=tracker(9))
    score_videos(again, reader, ["a"], tmp_path, say=str)
    assert again.predicted == 0


def test_a_method_without_tracks_keeps_its_results_whatever_the_tracker(tmp_path):
    """``flexhook predict`` gives every method the tracks of its file."""
    reader = MadeUpReader(a=3)
    score_videos(RowMethod(), reader, ["a"], tmp_path, say=str)
    job = finished_job(tmp_path / "a.npz")
    method = RowMethod()
    method.tracker = tracker(1)
    score_videos(method, reader, ["a"], tmp_path, say=str)
    assert (method.predicted, finished_job(tmp_path / "a.npz")) == (0, job)


@pytest.mark.parametrize("empty", [(0,), (0, 1), (2, 3), (0, 1, 2, 3)])
def test_categories_are_those_of_the_expressions_with_observations(tmp_path, empty):
    reader = MadeUpReader(a=4)
    for ranks in (1, 2, 3):
        score_with(ranks, lambda: RowMethod(empty=empty), reader, tmp_path / str(ranks))
        assert (tmp_path / str(ranks) / "a.npz").read_bytes() == (tmp_path / "1/a.npz").read_bytes()
    items = list(read_results(tmp_path / "1", "a"))
    assert {item.tracks.categories for item in items} == {() if len(empty) == 4 else CATEGORIES}
    assert [len(item.tracks) == 0 for item in items] == [k in empty for k in range(4)]


@pytest.mark.parametrize("other", [("pedestrian", "car"), ("car",), ()])
@pytest.mark.parametrize("at", [1, 3])
def test_expressions_of_different_categories_are_refused(tmp_path, other, at):
    reader = MadeUpReader(a=4)
    message = "expressions of video a differ in their categories"
    with pytest.raises(InputError, match=message):
        score_with(1, lambda: RowMethod(categories={at: other}), reader, tmp_path / "one")
    with pytest.raises(InputError, match=message):
        score_with(2, lambda: RowMethod(categories={at: other, at - 1: other}), reader, tmp_path / "two")


@both
def test_two_jobs_at_the_same_block_are_told_apart_by_the_video(tmp_path, kind):
    reader = MadeUpReader(a=4)
    partial = PartialFolder(tmp_path / ".blocks/a/1-of-2.npz", "a")
    partial.lock()
    with pytest.raises(InputError, match=r"another process is writing the scores of video a\. "):
        score_with(2, kind, reader, tmp_path)
    partial.close()
    assert all(m.predicted for m in score_with(2, kind, reader, tmp_path))


def test_a_method_that_writes_nothing_is_told_so_and_one_without_expressions_leaves_a_file(tmp_path):
    tracks = TrackSet.build([0], [1], [[0, 0, 1, 1]])
    video = MadeUpReader(a=2).read("a")
    with BlockWriter(tmp_path, "a", video.expressions) as writer, pytest.raises(ValueError, match=r"2 expressions .* missing"):
        writer.finish()
    with BlockWriter(tmp_path, "a", video.expressions) as writer:
        with writer.pairs(tracks), pytest.raises(ValueError, match="not finished"):
            writer.finish()
        with pytest.raises(ValueError, match="written with pairs"):
            writer.write(video.expressions[0], tracks, [0.5], [True])
    with BlockWriter(tmp_path, "none", ()) as writer:
        writer.finish()
    assert files(tmp_path) == [*(f".a.partial/{name}" for name in ("job", "lock", "logits", "rows")), "none.npz"]
