"""What scoring may do otherwise than the model alone: iKUN's calibration, an early exit."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tiny_model import IMAGE_SIZE, TinyText, TinyVisual, random_batch, tiny_flexhook
from tiny_video import make_tracks, make_video

from flexhook.errors import ConfigError, InputError
from flexhook.inference.pair_writer import PairWriter
from flexhook.methods.ikun.network import IKUN
from flexhook.methods.two_stage.calibration import SentenceFrequency, box_shares
from flexhook.methods.two_stage.cosine import CosineDecoder
from flexhook.methods.two_stage.engine import ScoringEngine
from flexhook.methods.two_stage.method import build_engine
from flexhook.structures import Expression
from flexhook.structures.result_files import read_results, write_expressions


def scores(engine, folder, sentences=("cars", "men walking")):
    video, tracks = make_video({}, count=9), make_tracks({1: range(9), 2: range(4)})
    expressions = tuple(Expression(s, s.replace(" ", "-")) for s in sentences)
    with PairWriter(folder, "0001", tracks, expressions) as writer:
        engine.score(video, tracks, expressions, writer)
    write_expressions(folder, {"0001": expressions})
    return read_results(folder, "0001").logits


def test_shares_count_a_sentences_boxes_over_all_videos():
    every, one = (lambda f, i: True), (lambda f, i: i == 1)
    videos = [make_video({1: range(4), 2: range(2)}, ["cars", "red cars"], [every, one]),
              make_video({1: range(6)}, ["cars"], [every], name="0002")]
    assert box_shares(videos) == {"cars": 12 / 16, "red cars": 4 / 16}
    with pytest.raises(InputError, match="no expression that refers to anything"):
        box_shares([make_video({1: range(4)}, ["cars"], [lambda f, i: False])])


def test_the_calibration_follows_its_formula():
    videos = [make_video({1: range(3), 2: range(1)}, ["a", "b"], [lambda f, i: True, lambda f, i: i == 1])]
    train = {"a": [1.0, 0.0], "b": [0.6, 0.8]}
    calibration = SentenceFrequency(8.0, -0.1, 100.0).fit(videos, lambda s: torch.tensor([train[x] for x in s]))
    features = torch.tensor([[0.8, 0.6]])
    cosines = np.array([0.8, 0.48 + 0.48])
    scaled = (cosines - cosines.min()) / (cosines.max() - cosines.min())
    weight = np.exp(100 * scaled) / np.exp(100 * scaled).sum()
    expected = 8 * (weight * np.array([4 / 7, 3 / 7])).sum() - 0.1
    assert np.isclose(calibration(features).item(), expected)
    assert np.isclose(calibration(torch.tensor([[5.0, 0.1]])).item(), 8 * 4 / 7 - 0.1)  # like "a" alone


def test_a_calibration_is_known_by_its_sentences_and_shares():
    """By its text, which is in the key of the scores."""
    def fitted(*sentences):
        videos = [make_video({1: range(3), 2: range(1)}, sentences, [lambda f, i: True, lambda f, i: i == 1])]
        return repr(SentenceFrequency().fit(videos, lambda s: torch.eye(len(s))))

    assert fitted("a", "b") == fitted("a", "b") != fitted("a", "c")


def test_a_calibrated_score_is_the_models_plus_the_sentences_share(tmp_path):
    model = tiny_flexhook(dtype=torch.float32)
    plain = scores(ScoringEngine(model, model.text.tokenize, IMAGE_SIZE), tmp_path / "plain")
    shift = torch.tensor([0.5, -2.0])
    engine = ScoringEngine(model, model.text.tokenize, IMAGE_SIZE, calibration=lambda features: shift)
    calibrated = scores(engine, tmp_path / "calibrated")
    assert np.allclose(calibrated[..., 1] - plain[..., 1], shift.numpy(), atol=1e-5)
    assert np.array_equal(calibrated[..., 0], plain[..., 0])


def test_sentence_features_are_the_mean_of_the_words():
    model = tiny_flexhook(dtype=torch.float32)
    engine = ScoringEngine(model, model.text.tokenize, IMAGE_SIZE)
    texts = ["cars", "red cars turning left"]
    together = engine.sentence_features(texts)
    for k, text in enumerate(texts):
        ids, mask = model.text.tokenize([text])
        tokens, _ = model.encode_expressions(ids, mask)
        assert torch.allclose(together[k], tokens[0].mean(0), atol=1e-6)


@pytest.mark.parametrize("points", [3, 0])
def test_an_early_exit_gives_the_logits_of_its_scale(points):
    model = tiny_flexhook(points=points)
    batch = random_batch(model)
    every = model(batch).logits
    for count in (1, 2, 4):
        cut = model.first_scales(count)
        assert torch.allclose(cut(batch).logits, every[:, :count], atol=1e-10)
        assert sum(p.numel() for p in cut.parameters()) <= sum(p.numel() for p in model.parameters())
    assert model.num_scales == 4  # the model itself is as before


def test_scoring_stops_at_the_exit_scale(tmp_path):
    model = tiny_flexhook(dtype=torch.float32)
    options = {"scoring": {"precision": "float32", "exit_scale": 2, "calibration": None}, "image_size": list(IMAGE_SIZE)}
    engine = build_engine(model, OmegaConf.create(options), torch.device("cpu"))
    cut = model.first_scales(2)
    expected = scores(ScoringEngine(cut, model.text.tokenize, IMAGE_SIZE), tmp_path / "cut")
    assert np.array_equal(scores(engine, tmp_path / "exit"), expected)
    assert not np.allclose(expected, scores(ScoringEngine(model, model.text.tokenize, IMAGE_SIZE), tmp_path / "whole"))


def test_an_exit_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match=r"exit_scale is 5.*1 to 4"):
        tiny_flexhook().first_scales(5)
    with pytest.raises(ConfigError, match="decides once"):
        tiny_flexhook(points=0, decoder=lambda heads, **sizes: CosineDecoder(**sizes)).first_scales(1)
    with pytest.raises(ConfigError, match="decides once"):
        IKUN(TinyVisual(), TinyText(), image_size=IMAGE_SIZE, heads=4).first_scales(1)
