"""Resized images on disk: decoded once, the same pictures, complete or absent."""

import pickle

import numpy as np
import pytest
from PIL import Image
from tiny_model import IMAGE_SIZE, TinyText
from tiny_video import NumberedFrames, make_video

from flexhook.errors import InputError
from flexhook.media.image_cache import ImageCache
from flexhook.media.images import ImageFiles
from flexhook.methods.two_stage.collate import FrameLoader
from flexhook.methods.two_stage.window_data import WindowData
from flexhook.sampling.expression_sampler import ExpressionSampler
from flexhook.sampling.items import ClipItems, ValidationItems
from flexhook.sampling.perturbations import NoJitter, NoMasking, NoSwap
from flexhook.training.datamodule import VideoDataModule

SPANS = {1: range(6), 2: [2, 3, 4, 5, 9]}
SENTENCES = ["one", "two"]
REFERENTS = [lambda f, i: i == 1, lambda f, i: i == 2]


@pytest.fixture
def video(tmp_path):
    """Frames are files; nothing is seen in 6, 7, 8 and 10, and 10 is missing."""
    pictures, paths = NumberedFrames(11), []
    for k in range(11):
        paths.append(tmp_path / "images" / f"{k:06d}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        if k != 10:
            Image.fromarray(pictures.read(k)).save(paths[-1])
    video = make_video(SPANS, SENTENCES, REFERENTS, count=11)
    object.__setattr__(video, "frames", ImageFiles(paths))
    return video


def fill(folder, video):
    cache = ImageCache(folder, IMAGE_SIZE)
    return cache, cache.fill(video, lambda k: FrameLoader([video], IMAGE_SIZE).load(0, k), num_threads=2)


def test_cached_pictures_are_the_resized_ones_and_only_those_that_are_needed(tmp_path, video):
    cache, decoded = fill(tmp_path / "cache", video)
    assert decoded
    cached = cache.open(video)
    for k in range(11):
        assert (k in cached) == (k in {0, 1, 2, 3, 4, 5, 9})
        if k in cached:
            assert np.array_equal(cached.read(k), FrameLoader([video], IMAGE_SIZE).load(0, k))


def test_loading_from_the_cache_decodes_nothing(tmp_path, video, monkeypatch):
    cache, _ = fill(tmp_path / "cache", video)
    plain, loader = FrameLoader([video], IMAGE_SIZE), FrameLoader([video], IMAGE_SIZE, cache=cache)
    expected = plain.load(0, 9)
    monkeypatch.setattr(ImageFiles, "read", None)
    assert np.array_equal(loader.load(0, 9), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(loader)).load(0, 9), expected)
    assert len(pickle.dumps(loader.cached)) < 1000  # a spawned process gets names, not pictures


def test_another_size_or_another_picture_is_another_entry(tmp_path, video):
    cache, _ = fill(tmp_path / "cache", video)
    assert not fill(tmp_path / "cache", video)[1]
    assert ImageCache(tmp_path / "cache", (16, 48)).place(video) != cache.place(video)
    Image.fromarray(NumberedFrames(11).read(7)).save(video.frames.name(3))
    again, decoded = fill(tmp_path / "cache", video)
    assert decoded
    assert np.array_equal(again.open(video).read(3), FrameLoader([video], IMAGE_SIZE).load(0, 3))


def test_a_picture_that_does_not_decode_leaves_nothing_behind(tmp_path, video):
    with open(video.frames.name(4), "wb") as file:
        file.write(b"not a picture")
    with pytest.raises(InputError, match=r"does not decode"):
        fill(tmp_path / "cache", video)
    assert not list((tmp_path / "cache").iterdir())


def batches(video, image_cache):
    sampler = ExpressionSampler(2, 1, noisy=False)
    source = WindowData(
        lambda videos, seed: ClipItems(videos, 4, 1, NoMasking(), sampler, NoJitter(), False, seed),
        lambda videos: ValidationItems(videos, 4, 2), NoSwap(), TinyText().tokenize, IMAGE_SIZE, image_cache=image_cache,
    )  # fmt: skip
    data = VideoDataModule(source, [video], [video], 1)
    data.prepare_data()
    return [*data.train_dataloader(), *data.val_dataloader()]


def test_training_and_validation_batches_are_the_same_with_the_cache(tmp_path, video):
    plain, cached = batches(video, None), batches(video, tmp_path / "cache")
    assert len(plain) == len(cached) == 8
    for a, b in zip(plain, cached, strict=True):
        assert a.images.equal(b.images)
        assert a.frame.equal(b.frame)
    assert len(list((tmp_path / "cache").iterdir())) == 1
