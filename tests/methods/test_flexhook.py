"""What holds for the whole model: independence, sharing, types, gradients."""

from dataclasses import replace

import pytest
import torch
from tiny_model import random_batch, tiny_flexhook

from flexhook.errors import ConfigError
from flexhook.methods.two_stage.losses import EntropyWeightedCrossEntropy, ReferencePointRegulariser


def close(a, b, tolerance):
    assert a.shape == b.shape
    assert (a - b).abs().max() < tolerance


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def case(request):
    single = request.param is torch.float32  # with weights as they start: large random ones magnify its rounding
    model = tiny_flexhook(dtype=request.param, every=not single)
    batch = random_batch(model, windows=4, expressions=5, frames=7, sentences=9)
    batch.boxes = batch.boxes.to(request.param)
    with torch.no_grad():
        return model, batch, model(batch).logits, 1e-6 if single else 1e-13


@torch.no_grad()
def test_score_does_not_depend_on_the_other_windows(case):
    model, batch, logits, tolerance = case
    for b in range(4):
        alone = replace(batch, frame=batch.frame[b : b + 1], boxes=batch.boxes[b : b + 1],
                        expression=batch.expression[b : b + 1])
        close(model(alone).logits[0], logits[b], tolerance)


@torch.no_grad()
def test_score_does_not_depend_on_the_order_of_the_windows(case):
    model, batch, logits, tolerance = case
    order = torch.tensor([2, 0, 3, 1])
    turned = replace(batch, frame=batch.frame[order], boxes=batch.boxes[order], expression=batch.expression[order])
    close(model(turned).logits, logits[order], tolerance)


@torch.no_grad()
def test_score_does_not_depend_on_the_other_expressions(case):
    model, batch, logits, tolerance = case
    for n in range(5):
        close(model(replace(batch, expression=batch.expression[:, n : n + 1])).logits[:, :, 0], logits[:, :, n], tolerance)
    more = torch.cat([batch.expression, torch.randint(9, (4, 20))], 1)
    close(model(replace(batch, expression=more)).logits[:, :, :5], logits, tolerance)


@torch.no_grad()
def test_score_does_not_depend_on_the_order_of_expressions_sentences_or_frames(case):
    model, batch, logits, tolerance = case
    order = torch.tensor([3, 1, 4, 0, 2])
    close(model(replace(batch, expression=batch.expression[:, order])).logits, logits[:, :, order], tolerance)
    sentences, frames = torch.randperm(9), torch.randperm(7)
    turned = replace(
        batch, ids=batch.ids[sentences], mask=batch.mask[sentences], expression=sentences.argsort()[batch.expression],
        images=batch.images[frames], frame=frames.argsort()[batch.frame],
    )  # fmt: skip
    close(model(turned).logits, logits, tolerance)


@torch.no_grad()
def test_scores_depend_on_frames_boxes_and_sentences():
    """The counterpart: nothing of the above holds because nothing matters."""
    model = tiny_flexhook()
    batch = random_batch(model)
    logits = model(batch).logits
    for changed in (
        replace(batch, images=255 - batch.images),
        replace(batch, boxes=batch.boxes + 0.05),
        replace(batch, expression=(batch.expression + 1) % 7),
        replace(batch, frame=batch.frame.flip(1)),
    ):
        assert (model(changed).logits - logits).abs().max() > 1e-3


def test_frames_and_sentences_are_encoded_once_per_batch():
    model = tiny_flexhook()
    model(random_batch(model, windows=8, expressions=6, frames=5, sentences=7))
    assert (model.visual.calls, model.visual.images) == (1, 5)
    assert (model.text.calls, model.text.sentences) == (1, 7)


@torch.no_grad()
def test_a_frame_or_sentence_given_several_times_counts_the_same():
    """The published way, each window with its own copies, gives the same scores."""
    model = tiny_flexhook()
    batch = random_batch(model, windows=3, expressions=4)
    copies = replace(
        batch, images=batch.images[batch.frame.flatten()], frame=torch.arange(12).view(3, 4),
        ids=batch.ids[batch.expression.flatten()], mask=batch.mask[batch.expression.flatten()],
        expression=torch.arange(12).view(3, 4),
    )  # fmt: skip
    prediction, same = model(batch), model(copies)
    close(prediction.logits, same.logits, 1e-12)
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(prediction.points, same.points, strict=True))


@torch.no_grad()
def test_padding_changes_nothing():
    """Sentences without the padded columns, with junk ids in them, and with a longer sentence beside them."""
    model = tiny_flexhook()
    batch = random_batch(model, sentences=6, own=False)
    longest = int(batch.mask.sum(1).max())
    keep = batch.mask.sum(1) < longest
    batch.ids, batch.mask = batch.ids[keep], batch.mask[keep]
    logits = model(batch).logits
    shorter = int(batch.mask.sum(1).max())
    assert shorter < model.text.length
    close(model(replace(batch, ids=batch.ids[:, :shorter], mask=batch.mask[:, :shorter])).logits, logits, 1e-13)
    close(model(replace(batch, ids=torch.where(batch.mask, batch.ids, 5))).logits, logits, 1e-13)
    full = torch.full((1, model.text.length), 9)
    longer = replace(batch, ids=torch.cat([batch.ids, full]), mask=torch.cat([batch.mask, full > 0]))
    close(model(longer).logits[:, :, :-1], logits, 1e-12)


@torch.no_grad()
def test_shared_sentences_equal_each_windows_own():
    model = tiny_flexhook()
    batch = random_batch(model, windows=3, sentences=6, own=False)
    own = replace(batch, expression=torch.arange(6).expand(3, 6).contiguous())
    shared, separate = model(batch), model(own)
    close(shared.logits, separate.logits, 1e-12)
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(shared.points, separate.points, strict=True))
    assert [tuple(p.shape) for p in shared.points] == [(3, 6, 3, 2)] * 4


@torch.no_grad()
def test_given_maps_and_tokens_replace_the_encoders():
    model = tiny_flexhook()
    batch = random_batch(model)
    logits = model(batch).logits
    cached = replace(batch, images=None, ids=None, maps=model.encode_frames(batch.images),
                     tokens=model.text(batch.ids, batch.mask))
    calls = model.visual.calls, model.text.calls
    close(model(cached).logits, logits, 1e-12)
    assert (model.visual.calls, model.text.calls) == calls


def test_images_are_scaled_and_normalised():
    """uint8 over 255, minus the mean, over the deviation, per channel, in the model's type."""
    model = tiny_flexhook(dtype=torch.float64)
    seen = []
    model.visual.register_forward_pre_hook(lambda _m, x: seen.append(x[0]))
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 96)
    model.encode_frames(images)
    assert seen[0].dtype == torch.float64
    expected = [(0 - 0.5) / 0.25, (0.2 - 0.4) / 0.3, (1 - 0.3) / 0.2]
    assert seen[0][0, :, 3, 7].tolist() == pytest.approx(expected, abs=1e-12)


def test_text_position_vectors_start_at_zero():
    from functools import partial

    from tiny_model import TinyText, TinyVisual

    from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
    from flexhook.methods.flexhook.hook import CHook
    from flexhook.methods.flexhook.network import FlexHook
    from flexhook.methods.flexhook.temporal import TemporalIntegration

    model = FlexHook(TinyVisual(), TinyText(), partial(CHook, heads=4), TemporalIntegration,
                     partial(PairwiseCorrespondenceDecoder, heads=4))  # fmt: skip
    assert model.text_position.shape == (9, 16)
    assert model.text_position.abs().max() == 0


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("points", [3, 1, 0])
@pytest.mark.parametrize("frames", [4, 1])
def test_gradient_reaches_every_parameter(points, frames, own):
    model = tiny_flexhook(points=points, frames=frames).train()
    batch = random_batch(model, windows=4, frames=5, own=own)
    batch.ids, batch.mask = batch.ids.clone(), batch.mask.clone()
    batch.mask[0], batch.ids[0] = True, torch.arange(2, 2 + model.text.length)  # one sentence of full length
    if own:
        batch.expression[0, 0] = 0
    prediction = model(batch)
    loss = EntropyWeightedCrossEntropy()(prediction.logits, batch.labels)
    if points:
        loss = loss + ReferencePointRegulariser()(prediction.points)
    loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_no_parameter_is_unused_when_the_encoders_are_frozen():
    model = tiny_flexhook()
    model.visual.requires_grad_(False)
    model.text.requires_grad_(False)
    batch = random_batch(model)
    EntropyWeightedCrossEntropy()(model(batch).logits, batch.labels).backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@torch.no_grad()
def test_engine_methods_give_the_last_scale_of_forward():
    """encode, observe, look and judge, in small pieces, are the same model."""
    from flexhook.methods.two_stage.frame_maps import FrameMaps

    model = tiny_flexhook()
    batch = random_batch(model, windows=3, frames=4, sentences=7, own=False)
    batch.frame[:] = torch.tensor([0, 1, 1, 3])  # windows of the same frames
    expected = model(batch).logits[:, -1]
    sentences = model.prepare_sentences(*model.encode_expressions(batch.ids, batch.mask))
    observed, looked = {}, {}
    for f in (0, 1, 3):
        maps = FrameMaps.from_maps(model.encode_frames(batch.images[f : f + 1]))
        looked[f] = model.look(maps, 0, sentences)
        for t in [t for t in range(4) if batch.frame[0, t] == f]:
            observed[t] = model.observe(maps, torch.zeros(3, dtype=torch.int64), batch.boxes[:, t])
    stacked = [torch.stack([observed[t][s] for t in range(4)], 1) for s in range(4)]
    mean = [(looked[0][s] + 2 * looked[1][s] + looked[3][s]) / 4 for s in range(4)]
    for max_pairs in (1000, 6, 1):
        close(model.judge(batch.boxes, stacked, mean, sentences, max_pairs), expected, 1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strides": (4, 16), "channels": (4, 4)}, r"strides \[4, 16\]"),
        ({"strides": (64,), "channels": (4,)}, r"strides \[64\]"),
        ({"grid": (4, 12)}, "grid 4x12 cannot be halved down to stride 32"),
    ],
)
def test_scales_that_do_not_halve_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        tiny_flexhook(**settings)
