"""The whole model against the published model's golden outputs, in float64; and the tests' own plain model too."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import plain_model
import pytest
import torch

from flexhook.methods.flexhook.network import FlexHook, WindowBatch
from flexhook.methods.two_stage.losses import EntropyWeightedCrossEntropy, ReferencePointRegulariser

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "tiny_rope_swin_roberta"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden values are not beside the checkout")
GRIDS = [(16, 48), (8, 24), (4, 12), (2, 6)]


@pytest.fixture(scope="module")
def model():
    from safetensors.torch import load_file

    from flexhook.convert.published import from_published
    from flexhook.encoders.rope_swin import RopeSwinEncoder
    from flexhook.encoders.text import TransformersTextEncoder
    from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
    from flexhook.methods.flexhook.hook import CHook
    from flexhook.methods.flexhook.temporal import TemporalIntegration

    config = json.loads((GOLDEN / "config.json").read_text())
    sizes = {k: config["visual"][k] for k in ("embed_dim", "depths", "num_heads", "drop_path")}
    text = {k: v for k, v in config["text"].items() if k != "type"} | {"model_type": "roberta"}
    model = FlexHook(
        RopeSwinEncoder(image_size=(224, 672), pretrained=False, **sizes),
        TransformersTextEncoder("roberta-base", length=25, pretrained=False, config=text),
        partial(CHook, num_reference_points=10), TemporalIntegration, PairwiseCorrespondenceDecoder,
    ).double().eval()  # fmt: skip
    state = load_file(GOLDEN / "state_dict.safetensors")
    model.load_state_dict({k: v.double() for k, v in from_published(model, state).state.items()})
    return model


@pytest.fixture(scope="module")
def batch(model):
    """The inputs, with the frames and sentences encoded once for all tests."""
    inputs = dict(np.load(GOLDEN / "inputs.npz"))
    ids, images = torch.from_numpy(inputs["input_ids"]), torch.from_numpy(inputs["images_uint8"])
    batch = WindowBatch(
        frame=torch.arange(8).view(2, 4),
        boxes=torch.from_numpy(inputs["boxes_xyxy"]),
        mask=torch.from_numpy(inputs["attention_mask"]).flatten(0, 1) == 1,
        expression=torch.arange(12).view(2, 6),
        images=images.flatten(0, 1).permute(0, 3, 1, 2),
        ids=ids.flatten(0, 1),
        labels=torch.from_numpy(inputs["labels"]),
    )
    with torch.no_grad():
        batch.maps, batch.tokens = model.encode_frames(batch.images), model.text(batch.ids, batch.mask)
    return batch


@pytest.fixture(scope="module")
def expected():
    return {k: torch.from_numpy(v) for k, v in np.load(GOLDEN / "outputs.npz").items()}


def difference(a, b):
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def test_model_computes_what_the_published_model_computes(model, batch, expected):
    with torch.no_grad():
        prediction = model(batch)
    assert difference(batch.tokens.unflatten(0, (2, 6)), expected["text_tokens"]) < 1e-9
    assert difference(prediction.logits, expected["logits"]) < 1e-9
    for s, points in enumerate(prediction.points):
        assert difference(points.flatten(0, 1), expected[f"ref_coords_{s}"]) < 1e-9
    scalars = json.loads((GOLDEN / "scalars.json").read_text())
    regulariser = ReferencePointRegulariser(0.01)(prediction.points)
    assert abs(regulariser.item() - scalars["regulariser"]) < 1e-9
    loss = EntropyWeightedCrossEntropy(0.7, 1)(prediction.logits, batch.labels) + regulariser
    assert abs(loss.item() - scalars["loss"]) < 1e-9
    assert abs(plain_model.regulariser(prediction.points) - scalars["regulariser"]) < 1e-9


def test_trajectory_tokens_of_each_scale_before_the_reduction(model, batch, expected):
    from flexhook.methods.two_stage.frame_maps import FrameMaps

    with torch.no_grad():
        maps = FrameMaps.from_maps(batch.maps)
        features, points = model.hook.target(maps, batch.frame.flatten(), batch.boxes.flatten(0, 1))
        for s, (f, p) in enumerate(zip(features, points, strict=True)):
            tokens = model.temporal.own_tokens(s, f.unflatten(0, (2, 4)), p.unflatten(0, (2, 4)))
            assert difference(tokens, expected[f"traj_tokens_{s}"]) < 1e-9


def test_the_plain_model_of_these_tests_computes_it_too(model, batch, expected):
    """The tests of the tiny models lean on it."""
    with torch.no_grad():
        logits, points = plain_model.predict(model, batch, 8, (16, 48), GRIDS)
    assert difference(logits, expected["logits"]) < 1e-9
    for s, p in enumerate(points):
        assert difference(p.flatten(0, 1), expected[f"ref_coords_{s}"]) < 1e-9
