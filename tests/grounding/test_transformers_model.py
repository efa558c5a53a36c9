"""Grounding DINO and MM-Grounding-DINO as detectors of sentences: scores by words, shared image features, messages."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import box_convert
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor, BertConfig, BertModel

from flexhook.errors import ConfigError, InputError
from flexhook.methods.grounding.transformers_model import GroundedDetector, one_picture

FRAME = np.random.default_rng(0).integers(0, 255, (60, 120, 3), np.uint8)
SENTENCES = ["red cars", "a person on a bicycle", "Car."]
KINDS = ("GroundingDino", "MMGroundingDino")


def open_model(folder, **settings):
    return GroundedDetector(str(folder), **{"threshold": 0.0, "iou_threshold": 1.0, **settings})


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_best_word(folders, kind):
    """Against the model's own class and processor, a sentence at a time."""
    processor = AutoProcessor.from_pretrained(folders[kind])
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folders[kind]).eval()
    words = {"red cars": [1, 2], "a person on a bicycle": [1, 2, 3, 4, 5], "Car.": [1]}
    found = open_model(folders[kind]).detect(FRAME, SENTENCES)
    for sentence, one in zip(SENTENCES, found, strict=True):
        text = sentence.lower().rstrip(".") + "."
        with torch.no_grad():
            outputs = model(**processor(images=FRAME, text=text, return_tensors="pt"))
        score = outputs.logits[0].sigmoid()[:, words[sentence]].amax(-1)
        boxes = box_convert(outputs.pred_boxes[0], "cxcywh", "xyxy") * torch.tensor([120, 60, 120, 60])
        order = np.argsort(-score.numpy(), kind="stable")
        assert len(one) == 12 and one.xyxy.dtype == one.confidence.dtype == np.float32 and set(one.class_id) == {0}
        np.testing.assert_allclose(one.confidence, score.numpy()[order], atol=1e-5)
        expected = boxes.numpy()[order].clip(0, [120, 60, 120, 60])
        np.testing.assert_allclose(np.sort(one.xyxy.sum(1)), np.sort(expected.sum(1)), atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_sentences_of_a_batch_share_the_image_features_and_do_not_depend_on_each_other(folders, kind):
    detector, seen = open_model(folders[kind], sentence_batch=2), []
    detector.model.model.backbone.conv_encoder.register_forward_hook(lambda module, inputs, out: seen.append(len(inputs[0])))
    together = detector.detect(FRAME, SENTENCES)
    assert seen == [1, 1]  # two batches
    for sentence, one in zip(SENTENCES, together, strict=True):
        (alone,) = detector.detect(FRAME, [sentence])
        np.testing.assert_allclose(one.confidence, alone.confidence, atol=1e-5)
        np.testing.assert_allclose(np.sort(one.xyxy.sum(1)), np.sort(alone.xyxy.sum(1)), atol=1e-2)


def test_outputs_of_one_picture_are_repeated_in_their_form():
    class Two(nn.Module):
        def forward(self, x, mask):
            assert len(x) == len(mask) == 1
            return [(2 * x, mask)], [x + 1]

    module, x = Two(), torch.ones(3, 2)
    with one_picture(module):
        ((doubled, mask),), (more,) = module(x, x > 0)
    assert torch.equal(doubled, 2 * x) and torch.equal(mask, x > 0) and torch.equal(more, x + 1)
    assert not module._forward_hooks and not module._forward_pre_hooks


def test_thresholds_on_the_best_word_and_on_the_whole_sentence(folders):
    every = open_model(folders["MMGroundingDino"]).detect(FRAME, ["red cars"])[0]
    cut = float(np.sort(every.confidence)[6]) - 1e-6
    assert len(open_model(folders["MMGroundingDino"], threshold=cut).detect(FRAME, ["red cars"])[0]) == 6
    assert len(open_model(folders["MMGroundingDino"], text_threshold=1.0).detect(FRAME, ["red cars"])[0]) == 0
    one_word = open_model(folders["MMGroundingDino"], text_threshold=cut).detect(FRAME, ["car"])[0]
    assert (one_word.confidence >= cut).all()  # of a single word the mean is the best
    few = open_model(folders["MMGroundingDino"], iou_threshold=0.0).detect(FRAME, ["red cars"])[0]
    assert 0 < len(few) < 12 and few.confidence.max() == pytest.approx(every.confidence.max(), abs=1e-6)


def test_the_shorter_side_of_frames(folders):
    detector, seen = open_model(folders["GroundingDino"], short_side=96), []
    detector.model.register_forward_pre_hook(lambda module, args, given: seen.append(given["pixel_values"].shape[-2:]),
                                             with_kwargs=True)
    detector.detect(FRAME, ["cars"])
    assert [tuple(s) for s in seen] == [(72, 144)]  # 96 x 192, but the longer side is at most 96 * 96 / 64
    assert detector.key() != open_model(folders["GroundingDino"]).key()


def test_settings_are_in_the_key_and_sentence_batches_are_not(folders):
    folder = folders["GroundingDino"]
    keys = [open_model(folder, **s).key() for s in ({}, {"threshold": 0.1}, {"text_threshold": 0.1}, {"iou_threshold": 0.5},
                                                    {"sentence_batch": 3})]  # fmt: skip
    assert len(set(keys)) == 4 and keys[4] == keys[0]


def test_words_that_the_model_does_not_know(folders):
    detector = open_model(folders["GroundingDino"])
    for sentence, problem in {"zebra": "knows no word of", "?!": "no word in"}.items():
        with pytest.raises(InputError, match=problem):
            detector.check(sentence)
    with pytest.warns(UserWarning, match="does not know zebra of “red zebra”; it looks for the other words"):
        caption = detector.caption("red zebra")
    assert caption.words == (False, True, False, False, False)  # [CLS] red [UNK] . [SEP]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.caption("red zebra")  # told once


def test_a_long_sentence_is_cut_with_one_warning(folders):
    detector = open_model(folders["GroundingDino"])
    with pytest.warns(UserWarning, match="the sentence has 43 tokens and is cut to 16"):
        caption = detector.caption("red " * 40)
    assert len(caption.ids) == 16 and sum(caption.words) == 14
    assert len(detector.detect(FRAME, ["red " * 40, "car"])) == 2


@pytest.mark.parametrize("setting", [{"threshold": 2}, {"text_threshold": -1}, {"iou_threshold": "a"}, {"short_side": -3},
                                     {"sentence_batch": 0}])  # fmt: skip
def test_settings_out_of_range_are_refused_before_the_model_is_read(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        GroundedDetector("nowhere", **setting)


def test_models_that_cannot_be_had_are_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"nobody/nothing.* cannot be had .*method.model=FOLDER\.$"):
        GroundedDetector("nobody/nothing")
    with pytest.raises(InputError, match="does not exist"):
        GroundedDetector("/nowhere/at/all")
    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)) \
        .save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"is of the type bert. Expected grounding-dino or mm-grounding-dino"):
        GroundedDetector(str(tmp_path))
    with pytest.raises(InputError, match=r"method.model is empty"):
        GroundedDetector("")
