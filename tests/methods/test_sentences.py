"""Sentences are encoded with others of their length, and come back in their own order."""

import pytest
import torch
from tiny_model import TinyText, random_batch, tiny_flexhook

from flexhook.methods.two_stage.referring_model import encode_by_length


def sentences(lengths, width=25):
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    ids = torch.randint(2, 60, mask.shape, generator=torch.Generator().manual_seed(0)) * mask
    return ids, mask


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100, None])
def test_tokens_are_those_of_each_sentence_alone(batch):
    text = TinyText(length=25).double()
    lengths = [5, 12, 3, 25, 3, 8, 5]
    ids, mask = sentences(lengths)
    tokens = encode_by_length(text, ids, mask, batch)
    assert tokens.shape == (7, 25, text.width)
    for k, length in enumerate(lengths):
        alone = text(ids[k : k + 1, :length], mask[k : k + 1, :length])[0]
        assert (tokens[k, :length] - alone).abs().max() < 1e-14
    assert text.sentences == 14


def test_little_padding_is_encoded():
    encoded = []

    def encode(ids, mask):
        encoded.append(tuple(ids.shape))
        return ids[..., None].double()

    ids, mask = sentences([20, 3, 4, 20, 3, 4, 19, 3])
    tokens = encode_by_length(encode, ids, mask, batch=3)
    assert encoded == [(3, 3), (3, 19), (2, 20)]  # 106 tokens for 76, not 160
    assert torch.equal(tokens[..., 0], ids[:, :20].double())


def test_gradients_reach_every_sentence():
    text = TinyText().double()
    ids, mask = sentences([4, 9, 2, 7], width=9)
    gradient, expected = (
        torch.autograd.grad((tokens * mask[..., None]).square().sum(), text.words.weight)[0]
        for tokens in (encode_by_length(text, ids, mask, 2), text(ids, mask))
    )
    assert expected.abs().max() > 1
    assert (gradient - expected).abs().max() < 1e-10


def test_a_model_encodes_sentences_without_the_padding_of_the_longest():
    model = tiny_flexhook()
    batch = random_batch(model, sentences=9)
    tokens, mask = model.encode_expressions(batch.ids, batch.mask)
    assert torch.equal(mask, batch.mask[:, : int(batch.mask.sum(1).max())])
    expected = model.text(batch.ids, batch.mask)[:, : tokens.shape[1]]
    assert ((tokens - expected) * mask[..., None]).abs().max() < 1e-12
