from pathlib import Path

import layouts
import numpy as np
import pytest
from PIL import Image

from flexhook.errors import InputError
from flexhook.structures import Expression, Video, make_labels
from flexhook.visualization import contact_sheet, pen
from flexhook.visualization.contact_sheet import (
    SheetRow,
    select_expressions,
    sheet_row,
    spread_frames,
    write_contact_sheet,
    write_good_and_bad,
)
from flexhook.visualization.outcomes import ScoredExpression

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "refer_kitti_sample"


def has(picture, colour):
    return (np.abs(picture.astype(int) - colour) <= 3).all(-1).any()


def read_png(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(("count", "expected"), [(1, [5]), (3, [2, 5, 8]), (4, [2, 4, 6, 8]), (20, list(range(1, 10)))])
def test_frames_are_spread_over_those_with_something_to_see(count, expected):
    class Nine:
        def eventful_frames(self):
            return np.arange(1, 10)

    assert spread_frames(Nine(), count).tolist() == expected


def test_a_sheet_has_a_row_per_expression_and_a_column_per_frame(tmp_path, video, scores):
    rows = [SheetRow(ScoredExpression.of(video, scores[k])) for k in (0, 1)]
    one, two, wide = (
        read_png(write_contact_sheet(tmp_path / f"{k}.png", shown, cell_width=320, frames=frames, columns=frames))
        for k, (shown, frames) in enumerate(((rows[:1], 3), (rows, 3), (rows, 4)))
    )
    cell, gap = 100, 6
    assert one.shape[1] == 3 * 320 + 4 * gap and wide.shape[1] == 4 * 320 + 5 * gap
    assert two.shape[0] - one.shape[0] > cell and one.shape[0] > cell
    dark = (one == (40, 60, 50)).all(-1).sum(1)  # the frames' ground
    assert 80 <= (dark > 600).sum() <= 100


def test_frames_that_do_not_fit_side_by_side_go_to_the_next_line(tmp_path, video, scores):
    row = [SheetRow(ScoredExpression.of(video, scores[0]))]
    one, two = (read_png(write_contact_sheet(tmp_path / "s.png", row, frames=n, columns=2)) for n in (2, 4))
    assert two.shape[0] - one.shape[0] == 150 + 8 and two.shape[1] == one.shape[1]


def test_the_caption_tells_metrics_and_the_numbers_of_boxes(tmp_path, video, scores, monkeypatch):
    told = []
    original = contact_sheet.caption_strip
    monkeypatch.setattr(
        contact_sheet, "caption_strip",
        lambda width, sentence, notes, *rest: told.append((sentence, notes)) or original(width, sentence, notes, *rest),
    )
    row = {"video": "0005", "slug": "red-cars", "HOTA": 53.14, "oracle_HOTA": 80.0, "DetA": np.nan, "AssA": 66.0}
    write_contact_sheet(tmp_path / "s.png", [sheet_row(video, scores, row)])
    assert told == [
        ("red cars", ["HOTA 53.1 (oracle 80.0)  AssA 66.0", "4 correct, 4 false, 4 missed", "video 0005"])
    ]


def table(*entries):
    return [{"video": v, "slug": s, "HOTA": h} for v, s, h in entries]


def test_best_and_worst_are_chosen_by_hota(make_video):
    videos = {"0005": make_video()}
    rows = table(("0005", "red-cars", 50.0), ("0005", "people", 70.0), ("0005", "trams", 0.0))
    assert [r["slug"] for r in select_expressions(rows, videos, 2, best=True)] == ["people", "red-cars"]
    assert [r["slug"] for r in select_expressions(rows, videos, 2, best=False)] == ["trams", "red-cars"]


def test_of_equally_bad_expressions_those_with_more_referents_are_shown(make_video):
    videos = {"0005": make_video()}
    rows = table(("0005", "trams", 0.0), ("0005", "people", 0.0), ("0005", "red-cars", 0.0))
    assert [r["slug"] for r in select_expressions(rows, videos, 3, best=False)] == ["red-cars", "people", "trams"]


def test_expressions_with_the_same_referents_are_not_shown_twice_while_there_are_others(make_video):
    video = make_video()
    dense = video.labels.toarray()
    rows, columns = np.nonzero(dense[:, [0, 0, 1]])
    names = tuple(Expression(s, s) for s in ("cars", "vehicles", "people"))
    twins = Video(video.name, video.size, video.frames, video.truth, names, make_labels(rows, columns, (len(dense), 3)))
    scored = table(("0005", "cars", 90.0), ("0005", "vehicles", 80.0), ("0005", "people", 10.0))
    two, three = (select_expressions(scored, {"0005": twins}, count, best=True) for count in (2, 3))
    assert [row["slug"] for row in two] == ["cars", "people"]
    assert [row["slug"] for row in three] == ["cars", "people", "vehicles"]


def test_rows_without_a_score_and_of_other_videos_are_passed_over(make_video):
    rows = table(("0005", "red-cars", np.nan), ("0011", "people", 1.0), ("0005", "gone", 1.0), ("0005", "people", 2.0))
    assert [r["HOTA"] for r in select_expressions(rows, {"0005": make_video()}, 5, best=True)] == [2.0]


def test_good_and_bad_sheets_lie_in_the_folder(tmp_path, make_video, make_scores):
    videos = {name: make_video(name=name) for name in ("0005", "0011")}
    rows = table(("0005", "people", 90.0), ("0011", "red-cars", 10.0))
    written = write_good_and_bad(
        tmp_path / "new" / "pictures", lambda name: (videos[name], make_scores(videos[name])), rows, good=1, bad=1
    )
    assert [(p.name, [r["video"] for r in chosen]) for p, chosen in written.items()] == [
        ("good_expressions.png", ["0005"]), ("bad_expressions.png", ["0011"]),
    ]
    good, bad = (read_png(p)[90:] for p in written)  # below the title and the legend
    assert has(good, pen.CORRECT) and not has(good, pen.MISSED) and not has(good, pen.FALSE_ALARM)
    assert has(bad, pen.CORRECT) and has(bad, pen.MISSED) and has(bad, pen.FALSE_ALARM)


def test_a_sheet_that_fails_leaves_nothing_and_keeps_the_one_before(tmp_path, video, scores):
    path = tmp_path / "s.png"
    path.write_bytes(b"before")
    with pytest.raises(InputError, match="no expression"):
        write_contact_sheet(path, [])

    def fail(index):
        raise InputError("the image does not decode")

    video.frames.read = fail
    with pytest.raises(InputError, match="does not decode"):
        write_contact_sheet(path, [SheetRow(ScoredExpression.of(video, scores[0]))])
    assert path.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_metrics_of_an_expression_without_scores_are_an_input_error(video, scores):
    with pytest.raises(InputError, match="'buses' of video 0005 has metrics but no scores"):
        sheet_row(video, scores, {"slug": "buses", "HOTA": 1.0})


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the Refer-KITTI sample is not beside the checkout")
def test_a_sheet_of_real_trajectories(tmp_path):
    from flexhook.structures.result_files import PairResults

    video = layouts.refer_kitti(SAMPLE, {"test": ["0005"]}, {"default": [375, 1242]}).read("0005")
    logits = np.zeros((len(video.truth), len(video.expressions), 2), np.float32)
    logits[..., 1] = np.where(video.labels.toarray(), 3, -3)
    scores = PairResults("0005", video.truth, video.expressions, logits)
    rows = [{"video": "0005", "slug": e.slug, "HOTA": 100.0} for e in video.expressions]
    (path, chosen), = write_good_and_bad(tmp_path, lambda name: (video, scores), rows, good=4, bad=0).items()
    sheet = read_png(path)[90:]
    assert len(chosen) == 4 and has(sheet, pen.CORRECT)
    assert not has(sheet, pen.MISSED) and not has(sheet, pen.FALSE_ALARM)
