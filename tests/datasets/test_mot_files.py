"""MOT files: reading, writing, both layouts, and what is refused."""

import logging

import numpy as np
import pytest

from flexhook.datasets.mot import read_mot, write_mot
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import ImageFiles
from flexhook.structures import TrackSet, Video, make_labels
from flexhook.trackers.mot_files import TrackerFiles


def video(name="0005", num_frames=10, size=(100, 200)):
    frames = ImageFiles([f"{k}.png" for k in range(num_frames)])
    return Video(name, size, frames, TrackSet.empty(), (), make_labels([], [], (0, 0)))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_rows_become_zero_based_frames_and_corner_boxes(tmp_path):
    file = write(tmp_path / "a.txt", "3,7,10,20,30,40,0.5,1,1\n1,2,-5,0,10.5,8,0.9,1,1\n")
    tracks = read_mot(file, first_frame=1)
    assert tracks.frame.tolist() == [0, 2]
    assert tracks.identity.tolist() == [2, 7]
    assert tracks.box.tolist() == [[-5, 0, 5.5, 8], [10, 20, 40, 60]]
    assert tracks.confidence.tolist() == pytest.approx([0.9, 0.5])
    assert read_mot(file, first_frame=0).frame.tolist() == [1, 3]


@pytest.mark.parametrize(
    "text",
    [
        "1,2,10,20,30,40,0.5,-1,-1,-1\n",  # ten columns
        "1,2,10,20,30,40,0.5\n",  # seven
        "1, 2, 10, 20, 30, 40, 0.5, 1, 1\n",  # spaces after commas
        "1 2 10 20 30 40 0.5 1 1\n",  # spaces only
        "1.0,2.00,10,20,30,40,0.5,1,1\n",  # whole numbers written with a point
        "\ufeff1,2,10,20,30,40,0.5,1,1\r\n\r\n",  # byte order mark, Windows line ends, blank line
    ],
)
def test_harmless_variants_load_equal(tmp_path, text):
    tracks = read_mot(write(tmp_path / "a.txt", text), first_frame=1)
    assert (tracks.frame.tolist(), tracks.identity.tolist()) == ([0], [2])
    assert tracks.box.tolist() == [[10, 20, 40, 60]]


def test_empty_file_is_a_set_without_observations(tmp_path):
    assert len(read_mot(write(tmp_path / "a.txt", ""), first_frame=1)) == 0


def test_detections_become_a_trajectory_each(tmp_path):
    file = write(tmp_path / "det.txt", "1,-1,0,0,5,5,0.9\n1,-1,9,9,5,5,0.4\n2,-1,0,0,5,5,0.8\n")
    tracks = read_mot(file, first_frame=1, unidentified="detections")
    assert len(tracks) == 3
    assert len(set(tracks.identity.tolist())) == 3


def test_rows_below_the_confidence_are_left_out(tmp_path):
    file = write(tmp_path / "a.txt", "1,1,0,0,5,5,0.4\n1,2,0,0,5,5,0.5\n1,3,0,0,5,5,0.6\n")
    assert read_mot(file, first_frame=1, min_confidence=0.5).identity.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,2,10,20,30,40,0.5,1", "8 columns"),
        ("1,2,10,20,30", "5 columns"),
        ("1,2,10,20,30,40,0.5,1,1,1", "the rows before have 9"),
        ("1,2,nan,20,30,40,0.5,1,1", "NaN"),
        ("1,2,10,inf,30,40,0.5,1,1", "NaN or infinity"),
        ("1,2,10,20,0,40,0.5,1,1", "0 wide"),
        ("1,2,10,20,30,-4,0.5,1,1", "-4 high"),
        ("0,2,10,20,30,40,0.5,1,1", "the frame is 0"),
        ("1.5,2,10,20,30,40,0.5,1,1", "the frame is 1.5"),
        ("1,2.5,10,20,30,40,0.5,1,1", "the identity is 2.5"),
        ("1,-2,10,20,30,40,0.5,1,1", "the identity is -2"),
        ("1,-1,10,20,30,40,0.5,1,1", "a row without identity"),  # a detection among tracks
        ("1,2,ten,20,30,40,0.5,1,1", "not a number"),
        ("1,2,1_0,20,30,40,0.5,1,1", "not part of a number"),  # Python's float would take it for 10
        ("1,2,１0,20,30,40,0.5,1,1", "not part of a number"),  # a full-width digit, likewise
        ("1,2,10,20,30,40,0.5,1,1,", "not a number"),
        ("9,9,1,1,1,1,1,1,1", "identity 9 occurs twice in frame 9"),
    ],
)
def test_a_bad_row_is_one_message_with_file_and_line(tmp_path, row, words):
    file = write(tmp_path / "a.txt", f"9,9,10,20,30,40,0.5,1,1\n\n{row}\n")
    with pytest.raises(InputError, match=words) as error:
        read_mot(file, first_frame=1)
    assert (error.value.file, error.value.line) == (file, 3)
    assert error.value.hint


def test_broken_encoding_names_its_line(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"1,2,10,20,30,40,0.5\n1,3,10\xff,20,30,40,0.5\n")
    with pytest.raises(InputError, match="0xff is not UTF-8") as error:
        read_mot(file, first_frame=1)
    assert error.value.line == 2


def test_what_is_written_is_read_back(tmp_path):
    rng = np.random.default_rng(0)
    corner = rng.uniform(-20, 1000, (50, 2))
    tracks = TrackSet.build(
        np.repeat(np.arange(10), 5),
        np.tile(np.arange(5), 10),
        np.concatenate([corner, corner + rng.uniform(1, 90, (50, 2))], 1),
        confidence=rng.uniform(0, 1, 50),
    )
    write_mot(tmp_path / "sub" / "out.txt", tracks, first_frame=1)
    again = read_mot(tmp_path / "sub" / "out.txt", first_frame=1)
    assert again.frame.tolist() == tracks.frame.tolist()
    assert again.identity.tolist() == tracks.identity.tolist()
    assert np.abs(again.box - tracks.box).max() < 2e-6
    assert again.confidence == pytest.approx(tracks.confidence, abs=1e-5)
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["out.txt"]


def test_identities_of_the_second_class_are_shifted_past_the_first(tmp_path):
    write(tmp_path / "0005/car/predict.txt", "1,1,0,0,5,5,1,1,1\n1,4,9,0,5,5,1,1,1\n")
    write(tmp_path / "0005/pedestrian/predict.txt", "1,1,0,9,5,5,1,1,1\n")
    tracks = TrackerFiles(tmp_path).track(video())
    assert tracks.identity.tolist() == [1, 4, 5]
    assert tracks.category.tolist() == [0, 0, 1]
    assert tracks.categories == ("car", "pedestrian")


def test_identities_numbered_from_zero_do_not_meet(tmp_path):
    write(tmp_path / "0005/car/predict.txt", "1,0,0,0,5,5,1,1,1\n")
    write(tmp_path / "0005/pedestrian/predict.txt", "1,0,0,9,5,5,1,1,1\n")
    assert len(set(TrackerFiles(tmp_path).track(video()).identity.tolist())) == 2


def test_empty_class_file_is_legal_and_a_missing_one_is_not(tmp_path):
    write(tmp_path / "0005/car/predict.txt", "1,1,0,0,5,5,1,1,1\n")
    empty = write(tmp_path / "0005/pedestrian/predict.txt", "")
    assert len(TrackerFiles(tmp_path).track(video())) == 1
    empty.unlink()
    with pytest.raises(InputError, match="no tracker output for video 0005") as error:
        TrackerFiles(tmp_path).track(video())
    assert error.value.file == empty


def test_one_file_per_video(tmp_path):
    write(tmp_path / "0005.txt", "0,3,0,0,5,5,1\n")
    tracks = TrackerFiles(tmp_path, layout="per_video", first_frame=0).track(video())
    assert (tracks.frame.tolist(), tracks.categories) == ([0], ())


def test_rows_beyond_the_end_are_an_error_or_dropped(tmp_path):
    write(tmp_path / "0005.txt", "10,3,0,0,5,5,1\n11,3,0,0,5,5,1\n")
    with pytest.raises(InputError, match=r"the first is of frame 11, the last frame would be 10") as error:
        TrackerFiles(tmp_path, layout="per_video").track(video(num_frames=10))
    assert error.value.line == 2
    assert len(TrackerFiles(tmp_path, layout="per_video", beyond_end="drop").track(video(num_frames=10))) == 1


def test_boxes_of_another_frame_size_are_scaled_to_the_original(tmp_path):
    write(tmp_path / "0005.txt", "1,3,10,20,30,40,1\n")
    tracks = TrackerFiles(tmp_path, layout="per_video", size=(50, 400)).track(video(size=(100, 200)))
    assert tracks.box.tolist() == [[5, 40, 20, 120]]


def test_both_layouts_are_written_as_they_are_read(tmp_path):
    tracks = TrackSet.build(
        [0, 0, 4], [1, 4, 5], [[0, 0, 5, 5], [9, 0, 12, 5], [1, 1, 3, 3]], [0, 0, 1], categories=("car", "pedestrian")
    )
    for layout in ("per_class", "per_video"):
        files = TrackerFiles(tmp_path / layout, layout=layout)
        files.write("0005", tracks)
        again = files.track(video())
        assert again.frame.tolist() == [0, 0, 4]
        assert np.abs(again.box - tracks.box).max() < 1e-6
        assert again.category.tolist() == ([0, 0, 1] if layout == "per_class" else [-1, -1, -1])


@pytest.mark.parametrize("options", [{"layout": "joint"}, {"beyond_end": "cut"}, {"pattern": "{video}.txt"}])
def test_unknown_choices_are_refused(tmp_path, options):
    with pytest.raises(ConfigError):
        TrackerFiles(tmp_path, **options)


def test_reading_says_nothing_when_all_is_well(tmp_path, caplog):
    write(tmp_path / "0005.txt", "1,3,10,20,30,40,1\n")
    with caplog.at_level(logging.INFO):
        TrackerFiles(tmp_path, layout="per_video").track(video())
    assert not caplog.records
