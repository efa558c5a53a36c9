"""A decoder that has only ``forward(queries, text, reference, trajectory)``: trained, scoring whole videos, exiting early."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from readme_decoder import readme_decoder
from tiny_model import IMAGE_SIZE, random_batch, sentences_of, tiny_flexhook
from tiny_video import make_tracks, make_video

from flexhook.errors import ConfigError
from flexhook.inference.pair_writer import PairWriter
from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
from flexhook.methods.flexhook.motion_decoder import MotionQueryDecoder
from flexhook.methods.two_stage.cosine import CosineDecoder
from flexhook.methods.two_stage.decoder_base import Decoder
from flexhook.methods.two_stage.engine import ScoringEngine
from flexhook.methods.two_stage.losses import EntropyWeightedCrossEntropy
from flexhook.methods.two_stage.method import build_engine
from flexhook.methods.two_stage.window_by_window import score_window_by_window
from flexhook.structures import Expression
from flexhook.structures.result_files import read_results, write_expressions

FAST_PATH = ("text_memory", "reference_memory", "trajectory_memory", "decode")
EXPRESSIONS = tuple(Expression(s, str(k)) for k, s in enumerate(["cars", *sentences_of(6, seed=3), "cars"]))
TRACKS = {1: range(9), 5: [0, 1, 4, 9], 8: [3]}


def without_heads(decoder):
    return lambda heads, **sizes: decoder(**sizes)


def plain_form(decoder):
    """The decoder without its fast path: the memories and ``decode`` of the base class, which call ``forward``."""
    return type(f"Plain{decoder.__name__}", (decoder,), {name: getattr(Decoder, name) for name in FAST_PATH})


def scores(engine, folder):
    video, tracks = make_video({}, count=12), make_tracks(TRACKS)
    with PairWriter(folder, "0001", tracks, EXPRESSIONS) as writer:
        engine.score(video, tracks, EXPRESSIONS, writer)
    write_expressions(folder, {"0001": EXPRESSIONS})
    return read_results(folder, "0001").logits


def engine_of(model, **settings):
    return ScoringEngine(model, model.text.tokenize, IMAGE_SIZE, **settings)


def twins(decoder, dtype, points):
    """A model with the decoder's fast path and one without it, of the same weights."""
    wrap = without_heads if decoder is CosineDecoder else lambda d: d
    every = dtype is torch.float64  # in single precision, weights as they start: large random ones magnify its rounding
    fast = tiny_flexhook(dtype=dtype, points=points, decoder=wrap(decoder), every=every)
    plain = tiny_flexhook(dtype=dtype, points=points, decoder=wrap(plain_form(decoder)), every=every)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(fast.state_dict())
    return fast, plain


@pytest.mark.parametrize("own", [True, False], ids=["own-sentences", "shared-sentences"])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["float32", "float64"])
@pytest.mark.parametrize("decoder, points", [
    (PairwiseCorrespondenceDecoder, 3), (PairwiseCorrespondenceDecoder, 0), (MotionQueryDecoder, 3), (CosineDecoder, 0)])
def test_fast_path_equals_plain_form_in_values_and_gradients(decoder, points, dtype, tolerance, own):
    fast, plain = twins(decoder, dtype, points)
    results = []
    for model in (fast, plain):
        batch = random_batch(model, windows=5, own=own)
        batch.boxes, batch.frame[1:3] = batch.boxes.to(dtype), batch.frame[0]  # windows of the same frames
        if own:
            batch.expression[1:3] = batch.expression[0]
        logits = model(batch).logits
        upstream = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
        parameters = dict(model.named_parameters())
        gradients = torch.autograd.grad((logits * upstream).sum(), list(parameters.values()))
        results.append({"logits": logits} | dict(zip(parameters, gradients, strict=True)))
    assert results[0]["logits"].std() > 1e-3
    for name, one in results[0].items():
        assert (one - results[1][name]).abs().max() < tolerance * max(1, one.abs().max()), name


def test_whole_videos_score_alike_with_the_fast_path_and_without(tmp_path):
    fast, plain = twins(PairwiseCorrespondenceDecoder, torch.float32, 3)
    one, other = scores(engine_of(fast), tmp_path / "fast"), scores(engine_of(plain, max_pairs=7), tmp_path / "plain")
    assert np.abs(one - other).max() < 1e-5


@pytest.fixture(params=[3, 0], ids=["conditioning", "no-conditioning"])
def model(request):
    return tiny_flexhook(points=request.param, dtype=torch.float32, decoder=without_heads(readme_decoder()), every=False)


@pytest.mark.parametrize("own", [True, False], ids=["windows", "clips"])
def test_decoder_of_the_readme_trains_in_every_parameter(model, own):
    model.train()
    batch = random_batch(model, windows=4, own=own)
    batch.boxes, batch.ids, batch.mask = batch.boxes.float(), batch.ids.clone(), batch.mask.clone()
    batch.mask[0], batch.ids[0] = True, torch.arange(2, 2 + model.text.length)  # one sentence of full length
    if own:
        batch.expression[0, 0] = 0
    logits = model(batch).logits
    assert logits.shape == (4, 4, 5 if own else 7, 2)
    EntropyWeightedCrossEntropy()(logits, batch.labels).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    assert {name for name in without if not name.startswith("hook.")} == set()  # reference points have a loss of their own


def test_decoder_of_the_readme_scores_videos_as_it_scores_windows(model, tmp_path):
    video, tracks = make_video({}, count=12), make_tracks(TRACKS)
    expected = score_window_by_window(model, model.text.tokenize, IMAGE_SIZE, video, tracks, EXPRESSIONS)
    assert np.ptp(expected[..., 1] - expected[..., 0]) > 1e-2
    assert np.allclose(scores(engine_of(model, frame_batch=3, max_pairs=7), tmp_path), expected, rtol=1e-5, atol=1e-5)


def test_scores_of_the_decoder_of_the_readme_do_not_depend_on_padding_or_other_expressions():
    model = tiny_flexhook(decoder=without_heads(readme_decoder()))
    batch = random_batch(model)
    together = model(batch).logits
    for n in range(batch.expression.shape[1]):
        alone = random_batch(model)
        alone.expression = batch.expression[:, n : n + 1]
        assert torch.allclose(model(alone).logits[:, :, 0], together[:, :, n], atol=1e-10)


def test_decoder_of_the_readme_exits_early(model, tmp_path):
    batch = random_batch(model)
    batch.boxes = batch.boxes.float()
    every = model(batch).logits
    for count in (1, 2, 4):
        assert torch.allclose(model.first_scales(count)(batch).logits, every[:, :count], rtol=1e-5, atol=1e-5)
    options = {"scoring": {"precision": "float32", "exit_scale": 2, "calibration": None}, "image_size": list(IMAGE_SIZE)}
    engine = build_engine(model, OmegaConf.create(options), torch.device("cpu"))
    video, tracks = make_video({}, count=12), make_tracks(TRACKS)
    cut = model.first_scales(2)
    expected = score_window_by_window(cut, model.text.tokenize, IMAGE_SIZE, video, tracks, EXPRESSIONS)
    assert np.allclose(scores(engine, tmp_path / "exit"), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(scores(engine_of(model), tmp_path / "whole") - expected).max() > 1e-3


class LastScaleOnly(Decoder):
    """Decides once, from the mean of the last scale's tokens and of the words."""

    def __init__(self, width, num_scales, num_frames=4):
        super().__init__(width, num_scales, num_frames)
        self.linear = torch.nn.Linear(width, 2)

    def forward(self, queries, text, reference, trajectory):
        words = (text.tokens * text.mask[..., None]).sum(2) / text.mask.sum(2, keepdim=True)  # (B, N, D)
        return self.linear(queries + words * trajectory[-1].mean(1, keepdim=True))[:, None]


class LastScaleOnlyAndSaysSo(LastScaleOnly):
    every_scale = False


def test_logits_of_another_shape_than_declared_are_refused():
    model = tiny_flexhook(decoder=without_heads(LastScaleOnly))
    with pytest.raises(ConfigError, match=r"LastScaleOnly gives logits of shape \(3, 1, 5, 2\).*\(3, 4, 5, 2\).*every_scale"):
        model(random_batch(model))
    model = tiny_flexhook(decoder=without_heads(LastScaleOnlyAndSaysSo))
    assert model(random_batch(model)).logits.shape == (3, 1, 5, 2)
    with pytest.raises(ConfigError, match="decides once"):
        model.first_scales(2)


def test_queries_are_zero_for_a_decoder_without_an_embedding_of_boxes():
    class NoQueries(readme_decoder()):
        box_queries = False

    decoder = NoQueries(16, 2)
    assert "box_embedding" not in dict(decoder.named_parameters())
    assert torch.equal(decoder.first_query(torch.rand(3, 4, 4)), torch.zeros(3, 1, 16))
    assert tiny_flexhook(decoder=without_heads(NoQueries)).make_alignment(dict)["first_query"] is None
    with_queries = tiny_flexhook(decoder=without_heads(readme_decoder()))
    assert with_queries.make_alignment(dict)["first_query"] == with_queries.decoder.first_query
