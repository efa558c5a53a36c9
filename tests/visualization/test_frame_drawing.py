from dataclasses import replace

import numpy as np
import pytest

from flexhook.errors import InputError
from flexhook.media.video_files import VideoFileFrames
from flexhook.structures import TrackSet, Video, make_labels
from flexhook.visualization import pen
from flexhook.visualization.frame_drawing import _FrameDrawing, draw_frame
from flexhook.visualization.outcomes import ScoredExpression
from flexhook.visualization.overlay import captioned_frame, picture_size, write_overlay


def share(picture, colour, tolerance=3):
    """(h, w) bool: where the picture has a colour."""
    return (np.abs(picture.astype(int) - colour) <= tolerance).all(-1)


def along_left_side(picture, box):
    """The colours along the middle of a box's left side, its corners excluded."""
    x1, y1, _, y2 = box
    return picture[y1 + 5 : y2 - 5, x1]


@pytest.fixture
def drawn(video, scores):
    return draw_frame(ScoredExpression.of(video, scores[0]), 1, (300, 960), identities=False)


def test_a_correct_box_is_blue_and_solid(drawn):
    assert share(along_left_side(drawn, (104, 100, 204, 180)), pen.CORRECT).all()
    assert not share(drawn[130:150, 130:180], pen.CORRECT).any()


def test_a_missed_referent_is_yellow_and_dashed_where_the_truth_is(drawn):
    side = share(along_left_side(drawn, (400, 100, 500, 180)), pen.MISSED)
    assert 0.3 < side.mean() < 0.7
    assert share(drawn[100, 400], pen.MISSED) and share(drawn[180, 500], pen.MISSED)  # corners are drawn


def test_a_false_alarm_is_orange_and_crossed(drawn):
    assert share(along_left_side(drawn, (704, 100, 804, 180)), pen.FALSE_ALARM).all()
    ground = np.array([40, 60, 50])
    centre = drawn[140, 754].astype(int)
    assert centre[0] > ground[0] + 60 and centre[2] < ground[2] + 10
    assert (drawn[140, 720] == ground).all()


def test_a_box_that_was_not_accepted_is_thin_and_grey(drawn):
    red, green, blue = drawn[240, 250].astype(int)
    assert red == pytest.approx(green, abs=8) and red == pytest.approx(blue, abs=8) and red > 120
    assert (drawn[240, 252] == (40, 60, 50)).all()


def test_every_referent_has_a_white_triangle_under_it_and_nothing_else_has(drawn):
    white = share(drawn, pen.PAPER, 12)
    assert white[182:196, 145:155].any() and white[182:196, 445:455].any()
    assert not white[182:196, 745:765].any()


def test_the_pictures_differ_in_more_than_colour(video, scores):
    """What is correct, false and missed is told apart in a grey print too: solid, crossed, dashed."""
    grey = draw_frame(ScoredExpression.of(video, scores[0]), 1, (300, 960)).mean(-1)
    correct, missed, false = (grey[105:175, x] for x in (104, 400, 704))
    assert correct.std() < 1 and false.std() < 1 and missed.std() > 30
    assert abs(grey[140, 754] - grey[140, 720]) > 20 and abs(grey[140, 154] - grey[140, 170]) < 1


def test_labels_say_the_probability(video, scores, monkeypatch):
    written = []
    monkeypatch.setattr(_FrameDrawing, "tag", lambda self, box, text, colour: written.append((text, colour)))
    draw_frame(ScoredExpression.of(video, scores[0]), 1, (300, 960))
    assert written == [
        ("missed, 0.12", pen.MISSED), ("✓ 0.95 #11", pen.CORRECT), ("✗ 0.98 #13", pen.FALSE_ALARM),
    ]


def test_boxes_stand_at_the_same_place_of_a_smaller_stored_image(video, scores):
    stored = type(video.frames)(4, (150, 480))
    small = Video(video.name, video.size, stored, video.truth, video.expressions, video.labels)
    pictures = [draw_frame(ScoredExpression.of(v, scores[0]), 1, (300, 960)) for v in (small, video)]
    np.testing.assert_array_equal(*pictures)


def test_boxes_over_the_border_keep_their_visible_sides(video, scores):
    tracks = TrackSet.build([0], [1], [(-50, 100, 60, 400)])
    one = type(scores)(video.name, tracks, scores.expressions, np.array([[[0, 2]] * 3], np.float32))
    picture = draw_frame(ScoredExpression.of(video, one[2]), 0, (300, 960), identities=False)
    assert share(picture[150:290, 60], pen.FALSE_ALARM).all()
    assert share(picture[150:290, 2], pen.FALSE_ALARM).all()
    assert share(picture[297, 10:50], pen.FALSE_ALARM).mean() > 0.9


@pytest.mark.parametrize(
    "box", [(500, 100, 500, 100), (5000, 5000, 5100, 5100), (100, 100, 101, 101), (-9e6, -9e6, 9e6, 9e6)]
)
def test_strange_boxes_are_drawn_without_an_error(video, scores, box):
    tracks = TrackSet.build([0], [1], [box])
    one = type(scores)(video.name, tracks, scores.expressions, np.array([[[0, 2]] * 3], np.float32))
    assert draw_frame(ScoredExpression.of(video, one[0]), 0, (300, 960)).shape == (300, 960, 3)


@pytest.mark.parametrize("size", [(10, 10000), (3000, 40), (1, 1), (2, 2)])
def test_strange_frame_sizes_are_drawn_without_an_error(tmp_path, make_video, make_scores, size):
    video = make_video(size, frames=2)
    frames = VideoFileFrames(write_overlay(tmp_path / "a.mp4", ScoredExpression.of(video, make_scores(video)[0])))
    assert len(frames) == 2


def test_a_crowd_of_boxes_is_drawn(video, scores):
    rng = np.random.default_rng(0)
    corner = rng.uniform(-50, 900, (300, 2)) * (1, 0.3)
    tracks = TrackSet.build([0] * 300, range(300), np.concatenate([corner, corner + rng.uniform(1, 90, (300, 2))], 1))
    crowd = type(scores)(video.name, tracks, scores.expressions, rng.normal(0, 1, (300, 3, 2)).astype(np.float32))
    whole = captioned_frame(ScoredExpression.of(video, crowd[0]), 0)
    assert share(whole, pen.FALSE_ALARM).sum() > 1000


def test_without_ground_truth_each_identity_has_its_colour_through_the_video(video, scores):
    unknown = Video("x", video.size, video.frames, TrackSet.empty(), (), make_labels([], [], (0, 0)))
    scored = ScoredExpression.of(unknown, scores[0])
    for frame in (0, 3):
        picture = draw_frame(scored, frame, (300, 960), identities=False)
        first, second = picture[140, 104], picture[140, 704]
        assert share(first, pen.IDENTITIES[0]) and share(second, pen.IDENTITIES[1])
        assert not share(picture, pen.MISSED).any() and not share(picture, pen.FALSE_ALARM).any()


def test_reference_points_are_drawn_at_their_coordinates(video, scores):
    points = [np.array([[-1, -1], [0, 0.5]]), np.array([[0.5, 0.9]])]
    scored = ScoredExpression.of(video, scores[2])
    with_points, without = (draw_frame(scored, 0, (300, 960), points=p) for p in (points, ()))
    where = share(with_points, pen.POINT, 25)
    for x, y in ((0, 0), (480, 224), (719, 284)):
        assert where[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].any()
    assert not share(without, pen.POINT, 25).any()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((370, 1224), (370, 1224)), ((100, 320), (300, 960)), ((1080, 1920), (1080, 1920)), ((2160, 3840), (1080, 1920)),
     ((480, 640), (720, 960)), ((1000, 500), (1440, 720)), ((375, 1242), (376, 1242)), ((4000, 1000), (1440, 360))],
)
def test_frames_are_drawn_large_enough_to_read_and_no_larger_than_a_screen(size, expected):
    assert picture_size(size) == expected


def test_a_captioned_frame_has_the_sentence_above_and_the_legend_below(video, scores):
    whole = captioned_frame(ScoredExpression.of(video, scores[0]), 1)
    height, width = whole.shape[:2]
    assert width == 960 and height % 2 == 0 and height > 300 + 2 * 25
    above, below = whole[:24], whole[-24:]
    assert share(above, pen.PAPER, 60).sum() > 100 and (above[0] == pen.INK).all()
    assert share(below, pen.CORRECT).any() and share(below, pen.FALSE_ALARM).any() and share(below, pen.MISSED).any()


@pytest.mark.parametrize("sentence", ["a " * 400, "w" * 500, "", "汽车 🚗 voiture à gauche", "\n\ttwo\nlines"])
def test_any_sentence_fits_into_the_caption(video, scores, sentence):
    scored = replace(ScoredExpression.of(video, scores[0]), expression=replace(video.expressions[0], sentence=sentence))
    whole = captioned_frame(scored, 0)
    assert whole.shape[1] == 960 and whole.shape[0] < 300 + 160


def test_the_overlay_video_has_every_frame_and_shows_the_boxes(tmp_path, video, scores):
    scored = ScoredExpression.of(video, scores[0])
    frames = VideoFileFrames(write_overlay(tmp_path / "a.mp4", scored, frame_rate=5))
    assert len(frames) == 4 and frames.frame_rate == 5
    written, drawn = frames.read(2).astype(int), captioned_frame(scored, 2).astype(int)
    assert written.shape == drawn.shape and np.abs(written - drawn).mean() < 4
    top = (drawn.shape[0] - 300) - 34  # the caption's height, about
    assert written[top + 140 - 20 : top + 160, 104, 2].max() > 150


def test_an_undecodable_frame_leaves_no_video(tmp_path, video, scores):
    class Broken(type(video.frames)):
        def read(self, index):
            if index == 2:
                raise InputError("the image does not decode", file="000002.png")
            return super().read(index)

    broken = Video(video.name, video.size, Broken(4, (300, 960)), video.truth, video.expressions, video.labels)
    with pytest.raises(InputError, match="000002"):
        write_overlay(tmp_path / "a.mp4", ScoredExpression.of(broken, scores[0]))
    assert not list(tmp_path.iterdir())


def test_a_video_without_frames_is_an_input_error(tmp_path, video, scores):
    none = Video("0005", video.size, type(video.frames)(0, (3, 9)), TrackSet.empty(), (), make_labels([], [], (0, 0)))
    with pytest.raises(InputError, match="no frames"):
        write_overlay(tmp_path / "a.mp4", ScoredExpression.of(none, scores[0]))
