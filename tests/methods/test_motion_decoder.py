"""The decoder whose queries begin with the changes from box to box and pass an MLP."""

import pytest
import torch
from tiny_model import random_batch, tiny_flexhook
from torch.nn import functional as F

from flexhook.errors import ConfigError
from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
from flexhook.methods.flexhook.motion_decoder import MotionQueryDecoder


def make(frames=3, **arguments):
    torch.manual_seed(0)
    return MotionQueryDecoder(16, 2, num_frames=frames, heads=4, **arguments).double()


def linear_part(decoder, boxes):
    return PairwiseCorrespondenceDecoder.first_query(decoder, boxes)


def test_embedding_begins_with_the_last_box_and_its_changes():
    decoder = make(gain=40.0)
    still = torch.tensor([0.2, 0.3, 0.4, 0.6], dtype=torch.float64).expand(1, 3, 4)
    moved = still.clone()
    moved[0, :2, [0, 2]] -= 0.05  # the step to the last box
    rows = decoder.box_embedding.unflatten(0, (3, 4))
    last = torch.tensor([0.3, 0.45, 0.2, 0.3], dtype=torch.float64)
    assert torch.allclose(linear_part(decoder, still)[0, 0], last @ rows.sum(0) / 4, atol=1e-12)
    step = linear_part(decoder, moved)[0, 0] - linear_part(decoder, still)[0, 0]
    assert torch.allclose(step, 0.05 * -rows[:2, 0].sum(0) / 4)
    assert 0.6 < rows.sum(0).std() < 1.6 and 25 < rows[1:].sum(0).std() < 60


def test_query_is_the_linear_one_and_an_mlp_of_it():
    decoder, boxes = make(expansion=3), torch.rand(5, 3, 4, dtype=torch.float64)
    q = linear_part(decoder, boxes)
    normed = F.layer_norm(q, (16,), decoder.query_norm.weight, decoder.query_norm.bias)
    hidden = F.gelu(normed @ decoder.query_in.weight.T + decoder.query_in.bias)
    assert hidden.shape == (5, 1, 48)
    assert torch.allclose(decoder.first_query(boxes), q + hidden @ decoder.query_out.weight.T + decoder.query_out.bias)


def test_one_frame_has_no_changes():
    decoder, boxes = make(frames=1), torch.rand(2, 1, 4, dtype=torch.float64)
    assert decoder.first_query(boxes).shape == (2, 1, 16)
    assert decoder.box_embedding.std() < 2


def test_in_bfloat16_the_query_is_computed_in_float32():
    torch.manual_seed(0)
    decoder, boxes = MotionQueryDecoder(16, 2, num_frames=3, heads=4), torch.rand(2, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        half = decoder.first_query(boxes)
    assert half.dtype == torch.float32
    assert torch.equal(half, decoder.first_query(boxes))


def test_whole_model_scores_a_window_alike_in_training_and_in_scoring():
    model = tiny_flexhook(decoder=MotionQueryDecoder)
    batch = random_batch(model, own=False)
    with torch.no_grad():
        prediction = model(batch)
        maps, tokens, mask = model.encode_batch(batch)
        state = model.prepare_sentences(tokens, mask)
        for b in range(len(batch.frame)):
            observed = model.observe(maps, batch.frame[b], batch.boxes[b])
            frames = [model.look(maps, int(f), state) for f in batch.frame[b]]
            looked = [torch.stack(x).mean(0) for x in zip(*frames, strict=True)]
            judged = model.judge(batch.boxes[b : b + 1], [o[None] for o in observed], looked, state, 1000)
            assert torch.allclose(judged[0], prediction.logits[b, -1], atol=1e-10)


@pytest.mark.parametrize("arguments, words", [
    ({"gain": -1}, "decoder.gain"), ({"gain": "much"}, "decoder.gain"), ({"gain": float("nan")}, "decoder.gain"),
    ({"expansion": 0}, "decoder.expansion"), ({"expansion": 1.5}, "decoder.expansion"),
])  # fmt: skip
def test_a_value_that_is_none_is_refused_by_name(arguments, words):
    with pytest.raises(ConfigError, match=words):
        make(**arguments)
