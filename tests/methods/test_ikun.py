"""iKUN and the steps from it: crops, cosines, and that scoring whole videos gives what one window at a time gives."""

from functools import partial

import numpy as np
import pytest
import torch
from tiny_model import IMAGE_SIZE, TinyText, TinyVisual, random_batch, randomise, sentences_of, tiny_flexhook
from tiny_video import make_tracks, make_video
from torch import nn

from flexhook.errors import ConfigError
from flexhook.inference.pair_writer import PairWriter
from flexhook.methods.flexhook.hook import CHook
from flexhook.methods.flexhook.network import FlexHook
from flexhook.methods.flexhook.temporal import TemporalIntegration
from flexhook.methods.ikun.network import IKUN, KnowledgeUnification, crop
from flexhook.methods.two_stage.collate import Collator, FrameLoader, Sentences
from flexhook.methods.two_stage.cosine import CosineDecoder
from flexhook.methods.two_stage.engine import ScoringEngine
from flexhook.methods.two_stage.feature_cache import FeatureCache
from flexhook.methods.two_stage.losses import CosineFocalLoss
from flexhook.methods.two_stage.window_by_window import score_window_by_window
from flexhook.sampling.items import ValidationItems
from flexhook.structures import Expression
from flexhook.structures.result_files import read_results, write_expressions

STRIDES, CHANNELS = (16, 32), (6, 8)


def ikun(dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    model = IKUN(TinyVisual(STRIDES, CHANNELS), TinyText(), crop_size=(32, 64), heads=4)
    randomise(model)
    return model.to(dtype).eval()


def chook(dtype=torch.float32, points=0):
    torch.manual_seed(0)
    model = FlexHook(TinyVisual(STRIDES, CHANNELS), TinyText(), partial(CHook, num_reference_points=points, heads=4,
                     finest=(8, 16)), TemporalIntegration, CosineDecoder, grid=(8, 16))  # fmt: skip
    randomise(model)
    return model.to(dtype).eval()


def pcd(dtype=torch.float32):
    return tiny_flexhook(STRIDES, CHANNELS, points=0, dtype=dtype)


def test_a_crop_is_what_the_box_shows():
    images = torch.zeros(2, 3, 40, 60)
    images[1, :, 10:20, 30:50] = 200.0
    boxes = torch.tensor([[30 / 60, 10 / 40, 50 / 60, 20 / 40], [0.0, 0.0, 30 / 60, 10 / 40]])
    inside, outside = crop(images, torch.tensor([1, 1]), boxes, (8, 8))
    assert torch.allclose(inside[:, 1:-1, 1:-1], torch.full((3, 6, 6), 200.0))
    assert outside[:, :-1, :-1].max() == 0
    assert crop(images, torch.tensor([0]), boxes[:1], (8, 8)).max() == 0  # another frame


def test_a_crop_of_a_large_object_averages_its_pixels():
    columns = torch.arange(64).float() % 2 * 100  # stripes one pixel wide
    images = columns.expand(1, 3, 32, 64).contiguous()
    small = crop(images, torch.tensor([0]), torch.tensor([[0.0, 0.0, 1.0, 1.0]]), (4, 8))
    assert torch.allclose(small, torch.full_like(small, 50.0), atol=1e-3)


def test_a_crop_ends_at_the_frames_border():
    images = torch.rand(1, 3, 32, 64) * 255
    hanging = crop(images, torch.tensor([0]), torch.tensor([[-0.5, -1.0, 0.5, 0.5]]), (8, 8))
    whole = crop(images, torch.tensor([0]), torch.tensor([[0.0, 0.0, 0.5, 0.5]]), (8, 8))
    assert torch.equal(hanging, whole)
    assert crop(images, torch.tensor([0]), torch.tensor([[1.2, 0.1, 1.4, 0.2]]), (8, 8)).isfinite().all()  # outside


def test_the_sentence_is_the_query_and_frames_count_alike():
    torch.manual_seed(0)
    pooling = KnowledgeUnification(16, heads=4).double()
    tokens, sentences = torch.randn(2, 3, 5, 16).double(), torch.randn(2, 7, 16).double()
    got = pooling(tokens, sentences)
    for b in range(2):
        for n in range(7):
            frames = []
            for t in range(3):
                x = nn.functional.layer_norm(tokens[b, t], (16,))
                q, k, v = pooling.wq(nn.functional.layer_norm(sentences[b, n], (16,))), pooling.wk(x), pooling.wv(x)
                heads = [torch.softmax(k[:, h] @ q[h] / 2, 0) @ v[:, h] for h in np.arange(16).reshape(4, 4).tolist()]
                frames.append(torch.cat(heads))
            assert torch.allclose(got[b, n], pooling.wo(torch.stack(frames).mean(0)))


@pytest.mark.parametrize("make", [ikun, chook])
def test_the_difference_of_the_logits_is_a_cosine(make):
    model = make(torch.float64)
    logits = model(random_batch(model)).logits
    cosine = logits[..., 1] - logits[..., 0]
    assert logits.shape == (3, 1, 5, 2)
    assert cosine.abs().max() <= 1
    assert cosine.std() > 0.01


@pytest.mark.parametrize("make", [ikun, chook, pcd])
def test_a_score_does_not_depend_on_other_windows_and_sentences(make):
    model = make(torch.float64)
    batch = random_batch(model, own=False)
    together = model(batch).logits
    for b, n in ((0, 3), (2, 6)):
        alone = random_batch(model, own=False)
        alone.frame, alone.boxes = batch.frame[b : b + 1], batch.boxes[b : b + 1]
        alone.ids, alone.mask = batch.ids[n : n + 1], batch.mask[n : n + 1]
        assert torch.allclose(model(alone).logits[0, -1, 0], together[b, -1, n], atol=1e-9)


def test_ikun_looks_at_the_frame_around_the_object_too():
    model = ikun(torch.float64)
    batch = random_batch(model, windows=1)
    batch.boxes[:] = torch.tensor([0.1, 0.1, 0.4, 0.9])
    before = model(batch).logits
    batch.images[..., 60:] = 255 - batch.images[..., 60:]  # right of the object
    assert not torch.allclose(model(batch).logits, before, atol=1e-4)


@pytest.mark.parametrize("make", [ikun, chook, pcd])
def test_every_parameter_is_trained(make):
    model = make().train()
    CosineFocalLoss()(model(random_batch(model, windows=4)).logits, torch.randint(2, (4, 5))).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None and not name.startswith("text.")] == []


@pytest.mark.parametrize("make", [ikun, chook])
def test_whole_videos_score_as_one_window_at_a_time(make, tmp_path):
    model = make()
    video = make_video({}, count=20)
    tracks = make_tracks({1: range(12), 5: [0, 1, 4, 9], 8: [3]})
    expressions = tuple(Expression(s, str(k)) for k, s in enumerate(["cars", *sentences_of(4, seed=3), "cars"]))
    expected = score_window_by_window(model, model.text.tokenize, IMAGE_SIZE, video, tracks, expressions)
    model.visual.images = 0
    engine = ScoringEngine(model, model.text.tokenize, IMAGE_SIZE, frame_batch=3, max_pairs=7)
    with PairWriter(tmp_path, "0001", tracks, expressions) as writer:
        report = engine.score(video, tracks, expressions, writer)
    write_expressions(tmp_path, {"0001": expressions})
    assert np.abs(read_results(tmp_path, "0001").logits - expected).max() < 1e-5
    assert model.visual.images == report.frames + (len(tracks) if make is ikun else 0)  # every frame and every crop once


def test_crops_are_cut_from_images_that_come_beside_cached_maps(tmp_path):
    model = ikun()
    video = make_video({1: range(8), 2: range(3, 8)}, ["cars", "red cars"], [lambda f, i: True, lambda f, i: i == 1])
    item = ValidationItems([video], num_frames=4, stride=2)[0]
    frames, sentences = FrameLoader([video], IMAGE_SIZE), Sentences.of([video], model.text.tokenize)
    cache = FeatureCache(tmp_path, has_maps=True, has_text=False)
    with torch.no_grad():
        cache.fill_maps(video, "key", lambda k: frames.load(0, k), model.encode_frames)
        live = model(Collator(frames, sentences)([item])).logits
        cached = model(Collator(frames, sentences, features=cache, with_images=True)([item])).logits
    assert model.needs_images
    assert not tiny_flexhook().needs_images
    assert torch.allclose(live, cached, atol=1e-6)


class Strict(TinyVisual):
    """An encoder of one image size, as Swin is."""

    def forward(self, images):
        assert images.shape[-2:] == IMAGE_SIZE, "wrong size"
        return super().forward(images)


def test_a_crop_size_that_the_encoder_does_not_take_is_named():
    with pytest.raises(ConfigError, match=r"crops of 64x64 \(wrong size\).*model.crop_size at null"):
        IKUN(Strict(STRIDES, CHANNELS), TinyText(), image_size=IMAGE_SIZE, crop_size=(64, 64), heads=4)


def test_crops_are_squares_as_high_as_the_frame_where_the_encoder_takes_them():
    assert IKUN(TinyVisual(STRIDES, CHANNELS), TinyText(), image_size=IMAGE_SIZE, heads=4).crop_size == (32, 32)
    model = IKUN(Strict(STRIDES, CHANNELS), TinyText(), image_size=IMAGE_SIZE, heads=4)
    assert model.crop_size == IMAGE_SIZE
    assert model(random_batch(model)).logits.isfinite().all()


def test_the_cosine_has_no_place_for_reference_points():
    model = chook(points=3)
    with pytest.raises(ConfigError, match="num_reference_points: 0"):
        model(random_batch(model))


def test_the_cosine_loss_is_the_focal_loss_of_scaled_logits():
    cosine = torch.tensor([[0.3, -0.2]])
    logits = torch.stack([-cosine / 2, cosine / 2], -1)[:, None]
    got = CosineFocalLoss(positive_weight=0.7, gamma=2.0, scale=10.0)(logits, torch.tensor([[1, 0]]))
    p = torch.sigmoid(10 * cosine[0])
    expected = (0.7 * (1 - p[0]) ** 2 * -p[0].log() + 0.3 * p[1] ** 2 * -(1 - p[1]).log()) / 2
    assert torch.isclose(got, expected)
