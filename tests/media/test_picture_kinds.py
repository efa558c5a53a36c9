"""Pictures are read as a viewer shows them, whatever their kind."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flexhook.media.image_folder import open_image_folder
from flexhook.media.images import image_size, read_image
from flexhook.media.sources import video_sources
from flexhook.media.video_files import open_frames

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
beside = pytest.mark.skipif(not CASES.is_dir(), reason="the small cases are not beside this checkout")


@pytest.fixture
def picture():
    x = np.linspace(0, 255, 24 * 36 * 3).astype(np.uint8).reshape(24, 36, 3)
    x[4:10, 5:20] = (200, 30, 60)
    return x


def test_an_orientation_of_exif_is_applied(picture, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # shown turned a quarter to the right
    Image.fromarray(np.ascontiguousarray(np.rot90(picture))).save(tmp_path / "a.png", exif=exif)
    assert image_size(tmp_path / "a.png") == (24, 36)
    assert (read_image(tmp_path / "a.png") == picture).all()


def test_sixteen_bits_are_scaled_to_eight(picture, tmp_path):
    gray = picture[..., 0]
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == gray[..., None]).all()
    Image.fromarray(np.minimum(gray, 254).astype(np.int32) // 2, "I").save(tmp_path / "b.tif")  # 8-bit values in a wide type
    assert (read_image(tmp_path / "b.tif") == (np.minimum(gray, 254) // 2)[..., None]).all()


def test_what_is_transparent_is_white(picture, tmp_path):
    alpha = np.full((24, 36, 1), 255, np.uint8)
    alpha[:6] = 0
    Image.fromarray(np.concatenate([picture, alpha], 2)).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert (found[:6] == 255).all() and (found[6:] == picture[6:]).all()


@pytest.mark.parametrize(("mode", "name", "close"), [
    ("L", "a.png", 0), ("1", "a.png", 0), ("P", "a.png", 0), ("CMYK", "a.tif", 1), ("RGB", "a.webp", 0), ("RGB", "a.bmp", 0),
])  # fmt: skip
def test_kinds_of_pictures(picture, tmp_path, mode, name, close):
    image = Image.fromarray(picture).convert(mode)
    image.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    assert np.abs(read_image(tmp_path / name).astype(int) - np.asarray(image.convert("RGB"))).max() <= close


def test_a_sequence_of_motchallenge_is_a_video(picture, tmp_path):
    frames = tmp_path / "MOT17-02/img1"
    frames.mkdir(parents=True)
    for k in range(3):
        Image.fromarray(picture + k).save(frames / f"{k + 1:06d}.JPG".replace("JPG", "PNG"))
    (tmp_path / "MOT17-02/seqinfo.ini").write_text("[Sequence]\nname=MOT17-02\nframeRate=30\n")
    found = open_frames(tmp_path / "MOT17-02")
    assert len(found) == 3 and found.frame_rate == 30 and (found.read(2) == picture + 2).all()
    assert video_sources(str(tmp_path / "MOT17-02")) == [tmp_path / "MOT17-02"]
    (tmp_path / "MOT17-02/seqinfo.ini").write_text("[Sequence\nframeRate=fast")
    assert open_image_folder(tmp_path / "MOT17-02").frame_rate is None


@beside
@pytest.mark.parametrize(("name", "mean"), [
    ("f_exif6", 3), ("f_rgba", 0), ("f_pal", 17), ("f_webp", 3), ("f_upper", 3), ("f_mot", 3),
])  # fmt: skip
def test_folders_of_every_kind_show_the_clip(name, mean):
    expected, found = open_frames(CASES / "clip.mp4"), open_frames(CASES / name)
    assert len(found) == len(expected) == 12
    assert np.abs(found.read(3).astype(int) - expected.read(3)).mean() <= mean


@beside
def test_sixteen_bit_twin_is_the_same_picture():
    assert (open_frames(CASES / "f_16gray").read(3) == open_frames(CASES / "f_gray").read(3)).all()
