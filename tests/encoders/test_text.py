"""Text encoders from transformers: tokens, padding, truncation, weights from folders, random ones without a hub."""

import json
import time
import warnings

import pytest
import torch
from transformers import AutoConfig, AutoModel

from flexhook.encoders import hub, packaged
from flexhook.encoders.text import TransformersTextEncoder
from flexhook.errors import InputError

TINY = {
    "model_type": "roberta",
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}


def tiny(**arguments):
    torch.manual_seed(0)
    return TransformersTextEncoder("tiny", pretrained=False, config=TINY, tokenizer="hashing", **arguments).eval()


def test_tokens_do_not_depend_on_padding():
    encoder = tiny().double()
    ids, mask = encoder.tokenize(["cars turning left", "a person walking behind the red car"])
    with torch.no_grad():
        full, cut = encoder(ids, mask), encoder(ids[:, :9], mask[:, :9])
        alone = encoder(ids[:1, :5], mask[:1, :5])
    assert full.shape == (2, 25, 32)
    assert torch.allclose(full[:, :9], cut, atol=1e-12)
    assert torch.allclose(full[:1, :5], alone, atol=1e-12)


def test_no_parameter_is_left_unused():
    for model_type in ("roberta", "bert", "distilbert", "electra", "mpnet"):
        config = {**TINY, "model_type": model_type}
        encoder = TransformersTextEncoder("tiny", pretrained=False, config=config, tokenizer="hashing")
        ids, mask = encoder.tokenize(["cars turning left"])
        encoder(ids, mask).sum().backward()
        assert encoder.width == encoder(ids, mask).shape[-1]
        assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(("config", "width"), [
    ({"model_type": "distilbert", "dim": 24, "n_heads": 2, "n_layers": 1, "hidden_dim": 8}, 24),
    ({"model_type": "t5", "d_model": 16, "d_ff": 8, "d_kv": 8, "num_layers": 1, "num_heads": 2}, 16),  # its encoder only
    ({"model_type": "xlnet", "d_model": 16, "n_head": 2, "n_layer": 1, "d_inner": 8}, 16),  # no limit of positions
    ({"model_type": "flaubert", "emb_dim": 20, "n_heads": 2, "n_layers": 1}, 20),
    ({"model_type": "albert", "embedding_size": 8, "hidden_size": 12, "num_attention_heads": 2, "num_hidden_layers": 1,
      "intermediate_size": 8}, 12),
    ({"model_type": "clip_text_model", "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "bos_token_id": 1,
      "eos_token_id": 2}, 16),
])  # fmt: skip
def test_the_width_of_any_encoder_is_found_out(config, width):
    encoder = TransformersTextEncoder("x", pretrained=False, config={"vocab_size": 99, **config}, tokenizer="hashing").eval()
    assert encoder.width == width
    ids, mask = encoder.tokenize(["cars turning left"])
    assert encoder(ids, mask).shape == (1, 25, width)


def test_what_is_no_text_encoder_is_told():
    with pytest.raises(InputError, match="'x' is no text encoder"):
        TransformersTextEncoder("x", pretrained=False, config={"model_type": "clip"})


def test_long_sentences_are_cut_with_one_warning_each():
    encoder = packaged.minilm(pretrained=False)
    long, longer = "car " * 30, "the car " * 40
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ids, mask = encoder.tokenize([long, "a car", longer, long])
        encoder.tokenize([long])
    messages = [str(w.message) for w in caught if "is cut to 25" in str(w.message)]
    assert len(messages) == 2
    assert messages[0].startswith("the sentence has 32 tokens and is cut to 25: 'car car")
    assert mask.sum(1).tolist() == [25, 4, 25, 25]
    assert ids[0, 0] == 101
    assert ids[0, -1] == 102  # the end token survives
    assert ids.dtype == torch.int64
    assert mask.dtype == torch.bool


def test_cut_sentences_are_what_transformers_would_make():
    encoder = packaged.minilm(pretrained=False)
    sentences = ["the silver car that turns to the left in front of us " * 3, "cars", ""]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ids, mask = encoder.tokenize(sentences)
    reference = encoder._padded_tokens.tokenizer.tokenizer(
        sentences, padding="max_length", truncation=True, max_length=25, return_tensors="pt"
    )
    assert torch.equal(ids, reference["input_ids"])
    assert torch.equal(mask, reference["attention_mask"].bool())


def test_weights_come_from_a_folder(tmp_path):
    torch.manual_seed(0)
    values = dict(TINY)
    source = AutoModel.from_config(AutoConfig.for_model(values.pop("model_type"), **values)).eval()
    source.half().save_pretrained(tmp_path)
    encoder = TransformersTextEncoder(str(tmp_path), tokenizer="hashing").eval()
    ids, mask = encoder.tokenize(["cars"])
    assert next(encoder.parameters()).dtype == torch.float32  # whatever the file holds
    with torch.no_grad():
        expected = source.float()(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        assert torch.allclose(encoder(ids, mask), expected, atol=1e-6)


def test_incomplete_weights_are_refused(tmp_path):
    values = dict(TINY)
    source = AutoModel.from_config(AutoConfig.for_model(values.pop("model_type"), **values))
    state = {k: v for k, v in source.state_dict().items() if "layer.1.output" not in k}
    source.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(InputError, match=r"leave 4 tensors of the model at random, such as encoder\.layer\.1\.output"):
        TransformersTextEncoder(str(tmp_path))


def test_broken_folder_is_told(tmp_path):
    with pytest.raises(InputError, match=r"no text encoder can be loaded from the folder"):
        TransformersTextEncoder(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    with pytest.raises(InputError, match=r"no text encoder can be loaded from the folder"):
        TransformersTextEncoder(str(tmp_path))


@pytest.mark.parametrize("name", ["roberta-base", "bert-base-uncased"])
def test_published_encoders_need_no_hub_for_random_weights(name, no_hub):
    config = {"num_hidden_layers": 1, "hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 32}
    encoder = TransformersTextEncoder(name, pretrained=False, config=config, tokenizer="hashing")
    assert encoder.width == 48
    assert encoder.net.config.vocab_size == {"roberta-base": 50265, "bert-base-uncased": 30522}[name]
    ids, mask = encoder.tokenize(["cars turning left"])
    assert mask.sum() == 5
    assert encoder(ids, mask).shape == (1, 25, 48)


def test_unreachable_hub_is_told_with_the_files_to_fetch(no_hub):
    with pytest.raises(InputError) as error:
        TransformersTextEncoder("roberta-base")
    for words in ("config.json, model.safetensors", "https://huggingface.co/roberta-base", "text.model=FOLDER"):
        assert words in str(error.value)
    config = {"num_hidden_layers": 1, "hidden_size": 48, "num_attention_heads": 4}
    encoder = TransformersTextEncoder("roberta-base", pretrained=False, config=config)
    with pytest.raises(InputError, match=r"tokenizer\.json.*text\.tokenizer=FOLDER"):
        encoder.tokenize(["cars"])


def test_a_hub_that_does_not_answer_is_given_up_on_quickly(monkeypatch, tmp_path):
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    begin = time.monotonic()
    with pytest.raises(InputError, match="roberta-large"):
        TransformersTextEncoder("roberta-large")
    assert time.monotonic() - begin < 10


def test_lengths_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="beyond the 40 positions"):
        tiny(length=60)
    with pytest.raises(InputError, match="at least 3"):
        tiny(length=2)


def test_hashing_tokenizer_is_stable_and_stays_inside_the_vocabulary():
    encoder = tiny()
    ids, _ = encoder.tokenize(["Cars, turning left!", "cars , turning left !"])
    assert torch.equal(ids[0], ids[1])
    assert ids[0, :7].tolist() == [0, *ids[0, 1:6].tolist(), 2]
    assert ids.max() < 300
    assert ids[0, 7:].unique().tolist() == [1]
    assert ids[0, 1].item() == 259


def test_dropout_of_the_configuration():
    assert tiny(dropout=0.3).net.config.hidden_dropout_prob == 0.3
    assert tiny().net.config.hidden_dropout_prob == 0.1
