import multiprocessing
import pickle
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from flexhook.errors import InputError
from flexhook.media.video_files import VideoFileFrames, VideoWriter, open_frames


def picture(index, height=48, width=80):
    """A frame that tells its index: two grey levels."""
    frame = np.full((height, width, 3), index * 5 % 256, np.uint8)
    frame[:, : width // 2] = index * 7 % 256
    return frame


def encode(path, codec="libx264", frames=60, container=None, options=None):
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 80, "yuv420p"
        stream.options, stream.bit_rate = options or {}, 4_000_000
        for k in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(k), format="rgb24")))
        out.mux(stream.encode())
    return path


def index_of(frame):
    """The index that a frame tells."""
    return min(range(60), key=lambda k: np.abs(frame.astype(int) - picture(k)).sum())


FORMATS = [
    ("h264.mp4", "libx264", None, {"g": "12"}),  # B-frames: pictures are stored in another order than shown
    ("h264.mkv", "libx264", None, {"g": "12"}),
    ("h264.ts", "libx264", "mpegts", {"g": "12"}),  # first timestamp is not 0
    ("mpeg4.avi", "mpeg4", None, {}),
    ("h264.avi", "libx264", None, {"g": "12"}),  # timestamps of the packets are not those of the pictures
    ("raw.h264", "libx264", "h264", {"g": "12"}),  # no timestamps at all
]


@pytest.mark.parametrize(("name", "codec", "container", "options"), FORMATS)
def test_every_frame_is_the_one_at_its_index(tmp_path, name, codec, container, options):
    frames = VideoFileFrames(encode(tmp_path / name, codec, container=container, options=options))
    assert len(frames) == 60
    in_order = [frames.read(k) for k in range(60)]
    assert [index_of(f) for f in in_order] == list(range(60))
    for k in np.random.default_rng(0).integers(0, 60, 25):
        np.testing.assert_array_equal(frames.read(int(k)), in_order[k])


def test_frames_are_rgb_of_the_files_size(tmp_path):
    red = np.zeros((50, 70, 3), np.uint8)
    red[..., 0] = 200
    with VideoWriter(tmp_path / "red.mp4", quality=1) as out:
        out.write(red)
    frame = VideoFileFrames(tmp_path / "red.mp4").read(0)
    assert frame.shape == (50, 70, 3) and frame.dtype == np.uint8
    assert np.abs(frame.astype(int) - red).max() <= 4


def test_reading_in_order_decodes_each_frame_once(tmp_path, monkeypatch):
    frames = VideoFileFrames(encode(tmp_path / "a.mp4", options={"g": "12"}))
    opened = []
    open_file = VideoFileFrames._open
    monkeypatch.setattr(VideoFileFrames, "_open", lambda self: opened.append(1) or open_file(self))
    for k in range(12):
        frames.read(k)
    assert len(opened) == 1


def test_a_change_to_a_returned_frame_does_not_change_the_next_reading(tmp_path):
    frames = VideoFileFrames(encode(tmp_path / "a.mp4"))
    first = frames.read(3)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(frames.read(3), kept)


def test_frames_travel_to_other_processes(tmp_path):
    frames = VideoFileFrames(encode(tmp_path / "a.mp4"))
    frames.read(20)
    assert index_of(pickle.loads(pickle.dumps(frames)).read(33)) == 33
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert [index_of(f) for f in pool.map(frames.read, [5, 40, 41, 7])] == [5, 40, 41, 7]
    assert index_of(frames.read(21)) == 21


def test_a_file_cut_at_its_start_begins_with_the_first_picture_that_decodes(tmp_path):
    path = encode(tmp_path / "a.ts", container="mpegts", options={"g": "10"})
    data = path.read_bytes()
    path.write_bytes(data[188 * (len(data) // 188 // 3) :])
    frames = VideoFileFrames(path)
    told = [index_of(frames.read(k)) for k in range(len(frames))]
    assert told == list(range(told[0], 60)) and told[0] > 0


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_the_rotation_that_a_phone_writes_is_applied(tmp_path, matrix, turns):
    path = encode(tmp_path / "a.mp4")
    plain = VideoFileFrames(path).read(5)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[at : at + 36]) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    a, b, c, d = (v * 65536 for v in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    np.testing.assert_array_equal(VideoFileFrames(path).read(5), np.rot90(plain, turns))


def sound_only(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        out.mux(stream.encode(sound))
        out.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "make", "problem"),
    [
        ("none.mp4", None, "no such file or folder"),
        ("empty.mp4", lambda p: p.write_bytes(b""), "not a video that decodes"),
        ("page.mp4", lambda p: p.write_text("<html>not found</html>"), "not a video that decodes"),
        ("notes.txt", lambda p: p.write_text("hello\n" * 50), "not a video|no video"),
        ("sound.mp4", sound_only, "holds no video"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, name, make, problem):
    if make:
        make(tmp_path / name)
    with pytest.raises(InputError, match=problem) as error:
        open_frames(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_a_truncated_video_names_the_first_frame_that_is_missing(tmp_path, caplog):
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "a.mp4", quality=10) as out:  # its index stands at the start: the rest can be cut off
        for _ in range(40):
            out.write(rng.integers(0, 255, (48, 80, 3), np.uint8))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    frames = VideoFileFrames(tmp_path / "a.mp4")
    assert f"a.mp4: the file says that it has 40 frames, and {len(frames)} are there: it may be truncated" in caplog.text
    with pytest.raises(InputError, match=r"a\.mp4: .*frame \d+"):
        for k in range(40):
            frames.read(min(k, len(frames) - 1))


def test_an_index_outside_the_video_is_an_index_error(tmp_path):
    frames = VideoFileFrames(encode(tmp_path / "a.mp4"))
    for index in (-1, 60):
        with pytest.raises(IndexError):
            frames.read(index)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "webm", "gif"])
def test_a_whole_video_is_not_suspected_to_be_truncated(suffix, caplog):
    cases = Path(__file__).parents[2].parent / "shared/cases"
    files = sorted(cases.glob(f"v*.{suffix}"))
    if not files:
        pytest.skip("the files of real situations are not beside this checkout")
    for file in files:
        if not any(word in file.name for word in ("trunc", "zero", "text", "audio")):
            open_frames(file)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["000001", "000002", "000004", "000005", "000009"], "have 2 gaps, the first between 000002.png and 000004.png"),
        (["frame0001", "frame0031", "frame0061"], "have 2 gaps, the first between frame0001.png and frame0031.png"),
        (["7", "8", "9", "10"], None),
        (["left", "right"], None),
        (["a_1", "a_2", "b_1", "b_2"], None),
    ],
)
def test_missing_numbers_of_images_are_told(tmp_path, caplog, names, words):
    for name in names:
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    assert len(open_frames(tmp_path)) == len(names)
    assert (words or "") in caplog.text
    assert bool(caplog.text) == bool(words)


def test_a_folder_of_images_is_read_in_natural_order(tmp_path):
    for k, name in enumerate(["2.png", "10.JPG", "1.jpeg", "._1.png", "notes.txt"]):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no image")
        else:
            Image.fromarray(np.full((4, 4, 3), k, np.uint8)).save(tmp_path / name)
    frames = open_frames(tmp_path)
    assert [frames.name(k).rsplit("/", 1)[-1] for k in range(len(frames))] == ["1.jpeg", "2.png", "10.JPG"]
    assert frames.read(1).max() == 0


def test_folders_without_images_or_with_two_images_of_a_frame_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no images"):
        open_frames(tmp_path)
    for name in ("000001.png", "000001.jpg"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name)
    with pytest.raises(InputError, match="two images of one frame"):
        open_frames(tmp_path)


def test_odd_sizes_grow_by_one_pixel(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4") as out:
        for k in range(3):
            out.write(picture(k, 33, 65))
    frames = VideoFileFrames(tmp_path / "odd.mp4")
    assert len(frames) == 3 and frames.read(2).shape == (34, 66, 3)


def test_the_written_video_has_the_wanted_rate_and_a_pixel_format_that_browsers_show(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", frame_rate=12.5) as out:
        for k in range(5):
            out.write(picture(k))
    assert VideoFileFrames(tmp_path / "a.mp4").frame_rate == 12.5
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_an_interrupted_video_leaves_nothing_and_keeps_the_one_before(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), VideoWriter(path) as out:
        for k in range(30):
            out.write(picture(k))
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] and path.read_bytes() == b"before"


def test_a_video_without_frames_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="no frame"), VideoWriter(tmp_path / "a.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_frames_of_different_shapes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="shape"), VideoWriter(tmp_path / "a.mp4") as out:
        out.write(picture(0))
        out.write(picture(0, 50, 80))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/a\.mp4"), VideoWriter(tmp_path / "file" / "a.mp4"):
        pass


@pytest.mark.parametrize("rate", [0, -1, 0.05, 2000, float("nan")])
def test_impossible_frame_rates_are_refused(tmp_path, rate):
    with pytest.raises(InputError, match="frame rate"):
        VideoWriter(tmp_path / "a.mp4", frame_rate=rate)


@pytest.mark.parametrize("rate", [0.1, 0.5, 29.97, 1000])
def test_unusual_frame_rates_are_kept(tmp_path, rate):
    with VideoWriter(tmp_path / "a.mp4", frame_rate=rate) as out:
        for k in range(3):
            out.write(picture(k))
    frames = VideoFileFrames(tmp_path / "a.mp4")
    assert len(frames) == 3 and frames.frame_rate == pytest.approx(rate, rel=1e-3)
