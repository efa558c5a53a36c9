"""Matching through time, losses, who continues, clips and augmentation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from overfit_clip import FRAMES, SIZE, overfit_video, small_network

from flexhook.errors import ConfigError, InputError
from flexhook.methods.one_stage.clip import run_clip
from flexhook.methods.one_stage.clips import ClipCollator, ClipItems, ValidationClips
from flexhook.methods.one_stage.losses import LossWeights, frame_losses
from flexhook.methods.one_stage.matching import FrameTruth, MatchCost
from flexhook.methods.one_stage.module import OneStageModule, parameter_groups
from flexhook.methods.one_stage.online import Thresholds
from flexhook.methods.one_stage.pictures import (
    Chain,
    InferenceResize,
    OneOf,
    Picture,
    RandomCrop,
    ShortSide,
    crop_picture,
    resize_picture,
    resized_shape,
)
from flexhook.methods.temprmot.network import TempRMOT
from flexhook.methods.transrmot.network import TransRMOT

VALUES = Path(__file__).parents[2].parent / "shared/golden/one_stage/preprocess/values.npz"
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
KINDS = [TransRMOT, TempRMOT]


def truth(*identities, referred=()):
    boxes = torch.tensor([[0.2 + 0.15 * (i % 5), 0.5, 0.1, 0.3] for i in identities]).reshape(-1, 4)
    is_referred = torch.tensor([float(i in referred) for i in identities])
    return FrameTruth(boxes, torch.tensor(identities, dtype=torch.int64), is_referred)


def run(network, truths, **options):
    torch.manual_seed(5)
    pyramids = [[torch.randn(network.width, h, w) for h, w in ((8, 16), (4, 8), (2, 4), (1, 2))] for _ in truths]
    return run_clip(network, pyramids, network.encode_sentence("red things"), truths, MatchCost(), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_with_empty_frames_and_more_objects_than_queries(kind):
    network = small_network(kind)
    found = run(network, [truth(), truth(*range(12), referred=[3]), truth(4, 5)])
    assert [len(f.matching.new_pairs[0]) for f in found.frames[:2]] == [0, 8]
    assert found.samples == 14 + sum(f.matching.disappeared for f in found.frames)
    loss = found.total(LossWeights())
    loss.backward()
    assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    assert {f"frame_0_loss_{k}" for k in ("ce", "bbox", "giou", "refer")} <= found.sums.keys()
    assert found.sums["frame_0_loss_bbox"] == found.sums["frame_0_loss_refer"] == 0 < found.sums["frame_0_loss_ce"]
    assert ("frame_2_temporal_loss_giou" in found.sums) == (kind is TempRMOT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_without_any_object(kind):
    found = run(small_network(kind), [truth(), truth()])
    assert found.samples == 0 and len(found.frames[0].handed_on) == 0
    background = sum(v.item() for k, v in found.sums.items() if k.endswith("ce"))
    assert found.total(LossWeights()).item() == pytest.approx(2 * background)


@pytest.mark.parametrize("kind", KINDS)
def test_saving_memory_changes_no_number(kind):
    norms, still = [], {"temporal_dropout": 0.0} if kind is TempRMOT else {"random_drop": 0.0, "fp_ratio": 0.0}
    for save_memory in (False, True):
        network = small_network(kind, **still)
        with torch.no_grad():
            network.bbox_embed[-1].layers[2].bias[2:] = -1.0
        total = run(network, [truth(1, 2, 3)] * 3, save_memory=save_memory).total(LossWeights())
        total.backward()
        found = {k: p.grad.norm().item() for k, p in network.named_parameters() if p.grad is not None}
        norms.append(found | {"total": total.item()})
    assert norms[0].keys() == norms[1].keys()
    assert list(norms[0].values()) == pytest.approx(list(norms[1].values()), rel=1e-4, abs=1e-6)


def test_losses_of_perfect_boxes_and_of_unmatched_instances():
    objects = truth(1, 2, referred=[2])
    matched = torch.tensor([1, -1, 0])
    boxes = torch.stack([objects.boxes[1], torch.full((4,), 0.5), objects.boxes[0]])
    zero = torch.zeros(3, 1)
    losses = frame_losses(zero, zero, boxes, matched, objects)
    assert losses["bbox"].item() == 0 and losses["giou"].item() == pytest.approx(0, abs=1e-6)
    half = 0.25 * np.log(2)  # (1 - p_t)^2 times the cross-entropy at p = 0.5
    assert losses["ce"].item() == pytest.approx(half * (0.25 + 0.75 + 0.25))
    assert losses["refer"].item() == pytest.approx(half * (0.25 + 0.75))  # of pairs alone
    unrated = frame_losses(zero, zero, boxes + 0.1, matched, replace(objects, identity=torch.tensor([-1, 2])))
    assert unrated["bbox"].item() == pytest.approx(0.4) and unrated["ce"].item() == pytest.approx(losses["ce"].item())


def table_of(network, identity, iou):
    table = network.fresh_table(network.train_history)
    return replace(table, identity=torch.tensor(identity), iou=torch.tensor(iou), boxes=torch.rand(8, 4) * 0.2 + 0.4)


def test_who_continues_in_transrmot():
    network = small_network(TransRMOT, random_drop=0.5, fp_ratio=0.4)
    table = table_of(network, [5, -1, 6, -1, 7, -1, -1, 8], [0.9, 0.9, 0.5, 0.9, 0.6, 0.9, 0.9, 0.8])
    network.random_drop = network.fp_ratio = 0.0
    assert network.continue_training(table, None).identity.tolist() == [5, 7, 8]  # an overlap of 0.5 is too little
    network.fp_ratio = 1.0
    everyone = network.continue_training(table, None).identity.tolist()
    assert everyone[:3] == [5, 7, 8] and set(everyone[3:]) == {-1} and 1 <= len(everyone) - 3 <= 3
    network.random_drop, network.fp_ratio = 0.5, 0.4
    drawn = [network.continue_training(table, torch.Generator().manual_seed(k)).identity.tolist() for k in range(300)]
    assert np.mean([sum(i >= 0 for i in d) for d in drawn]) == pytest.approx(1.5, abs=0.2)
    assert drawn[7] == network.continue_training(table, torch.Generator().manual_seed(7)).identity.tolist()
    network.random_drop, network.fp_ratio = 0.0, 1.0
    crowded = table_of(network, [*range(5), -1, -1, -1], [0.9] * 8)
    assert network.continue_training(crowded, None).identity.tolist() == [*range(5), -1, -1, -1]  # all free ones


def test_who_continues_in_temprmot():
    network = small_network(TempRMOT)
    table = table_of(network, [5, -1, 6, -1, -1, -1, -1, -1], [0.9, 1.0, 0.5, 1.0, 0.3, 1.0, 1.0, 1.0])
    table = replace(table, scores=torch.tensor([0.1, 0.6, 0.9, 0.5, 0.7, 0.0, 0.0, 0.0]))
    survivors = network.continue_training(table, None)
    assert survivors.identity.tolist() == [5, -1, -1, -1]
    assert survivors.scores.tolist() == pytest.approx([0.1, 0.6, 0.9, 0.7])
    made = network.interact(survivors)
    changed = (made.query != survivors.query).any(1).tolist()
    assert changed == [False, True, True, True]


def test_answers_that_are_not_finite_are_told():
    network = small_network(TransRMOT)
    with torch.no_grad():
        network.txt_proj.fc.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="answers are not finite"):
        run(network, [truth(1)])


def test_clips_stay_within_a_video_and_expressions_are_drawn_evenly():
    video = overfit_video()
    items = ClipItems([video, video], lengths=[3, 5], milestones=[2], seed=4)
    assert len(items) == 2 * FRAMES
    assert items[(0, 3)].frames == range(3, 6) and items[(2, 3)].frames == range(3, 8)
    assert items[(0, FRAMES - 1)].frames == range(FRAMES - 3, FRAMES) and items[(0, FRAMES)].video == 1
    assert items[(1, 9)] == items[(1, 9)] and len({items[(e, 9)].expressions for e in range(40)}) == 6
    drawn = np.bincount([items[(e, i)].expressions[0] for e in range(40) for i in range(len(items))], minlength=6)
    assert drawn.min() > 0.8 * drawn.mean()
    assert ClipItems([video], lengths=[100])[(0, 7)].frames == range(FRAMES)  # longer than the video
    assert len(ClipItems([video], lengths=[2], expressions=9)[(0, 0)].expressions) == 6
    assert len(ValidationClips([video], length=8, stride=10)) == 3
    for bad in ({"lengths": [2, 3]}, {"lengths": [0]}, {"lengths": [2], "expressions": 0}):
        with pytest.raises(ConfigError):
            ClipItems([video], **bad)


def test_a_loaded_clip_has_all_objects_and_says_which_are_referred_to():
    video = overfit_video()
    collate = ClipCollator([video], ShortSide([32]), InferenceResize(*SIZE))
    item = replace(ClipItems([video], lengths=[2])[(0, 10)], expressions=(0, 5))
    (clip,) = collate([item]).clips
    assert clip.sentences == ["red things", "blue and yellow"]
    assert [tuple(i.shape) for i in clip.images] == [(3, 32, 64)] * 2
    assert clip.truths[0][0].identity.tolist() == [1, 2, 3, 4] and clip.truths[0][0].referred.tolist() == [1, 0, 0, 0]
    assert clip.truths[1][1].referred.tolist() == [0, 0, 1, 1]
    box = video.truth.box[video.truth.frame == 10][0]
    assert clip.truths[0][0].boxes[0].tolist() == pytest.approx(
        [(box[0] + box[2]) / 256, (box[1] + box[3]) / 128, 22 / 128, 13 / 64], abs=1e-6)


def test_several_expressions_cost_what_the_average_of_single_ones_costs():
    video = overfit_video()
    collate = ClipCollator([video], None, InferenceResize(*SIZE))
    network = small_network(TransRMOT, random_drop=0.0, fp_ratio=0.0)
    module = OneStageModule(network, LossWeights(), MatchCost(), Thresholds(0.7, 0.6, 5, 0.7, 100, 0.5))
    item = ClipItems([video], lengths=[2])[(0, 10)]
    pair, one, two = (module.run_clips(collate([replace(item, expressions=e)])) for e in ((0, 4), (0,), (4,)))
    assert [r.total(module.weights).item() for r in pair] == pytest.approx(
        [one[0].total(module.weights).item(), two[0].total(module.weights).item()], rel=1e-5)


def test_learning_rates():
    network = small_network(TransRMOT)
    groups = parameter_groups(network, 1e-4, 1e-4, {"visual.": 0.1, "reference_points": 0.1, "sampling_offsets": 0.1})
    assert [g["lr"] for g in groups] == pytest.approx([1e-4, 1e-5]) and {g["weight_decay"] for g in groups} == {1e-4}
    slow = {id(p) for p in groups[1]["params"]}
    names = {n for n, p in network.named_parameters() if id(p) in slow}
    assert all(n.startswith("visual.") or "sampling_offsets" in n or "reference_points" in n for n in names)
    assert {"transformer.reference_points.bias", "transformer.decoder.layers.1.cross_attn.sampling_offsets.weight"} <= names
    assert not any("norm3" in n for n, p in network.track_embed.named_parameters() if p.requires_grad)


@pytest.mark.skipif(not VALUES.is_file(), reason="the golden values are not beside the checkout")
def test_pictures_are_those_of_the_published_programs():
    values = np.load(VALUES)

    def same(name, image):
        x = ((image.astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)
        assert x.shape == tuple(values[f"{name}_shape"])
        np.testing.assert_allclose(x[:, :4, :6], values[f"{name}_corner"], atol=1e-6)
        np.testing.assert_allclose(x[:, ::37, ::101], values[f"{name}_sample"], atol=1e-6)
        np.testing.assert_allclose(x.mean((1, 2)), values[f"{name}_mean"], atol=1e-4)

    image = values["image_uint8"]
    same("test", InferenceResize()(image))
    picture = Picture(image, values["boxes_xyxy"].astype(float), np.arange(4))
    wide = resize_picture(picture, resized_shape(image.shape[:2], 608, 1536))
    same("train_a", wide.image)
    np.testing.assert_allclose(wide.fractions, values["train_a_boxes_cxcywh"], atol=1e-6)
    part = crop_picture(resize_picture(picture, resized_shape(image.shape[:2], 100, None)), 10, 60, 80, 200)
    np.testing.assert_array_equal(part.image, values["train_b_crop_uint8"])
    np.testing.assert_allclose(part.boxes, values["train_b_boxes_after_crop_xyxy"], atol=1e-4)
    assert (part.rows + 1).tolist() == values["train_b_ids"].tolist()
    last = resize_picture(part, resized_shape(part.image.shape[:2], 96, 1536))
    same("train_b", last.image)
    np.testing.assert_allclose(last.fractions, values["train_b_boxes_cxcywh"], atol=1e-6)


@pytest.mark.parametrize(("shape", "test", "train"), [
    ((375, 1242), (463, 1536), (464, 1536)), ((370, 1224), (464, 1536), (464, 1534)),
    ((374, 1238), (464, 1536), (464, 1535)), ((376, 1241), (465, 1536), (465, 1534)),
])  # fmt: skip
def test_sizes_of_kitti(shape, test, train):
    assert InferenceResize()(np.zeros((*shape, 3), np.uint8)).shape[:2] == test
    assert {resized_shape(shape, s, 1536) for s in range(608, 993, 32)} == {train}


def test_augmentation_is_the_same_for_all_pictures_of_a_clip_and_depends_on_the_seed_alone():
    clip = [Picture(np.full((100, 300, 3), k, np.uint8), np.array([[10.0, 10, 50, 40]]), np.array([0])) for k in range(3)]
    augment = OneOf([ShortSide([50, 60]), Chain([ShortSide([80]), RandomCrop(30, 60), ShortSide([50, 60])])])
    shapes = set()
    for seed in range(30):
        made, again = (augment(clip, np.random.default_rng(seed)) for _ in range(2))
        assert len({p.image.shape for p in made}) == 1
        assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(made, again, strict=True))
        shapes.add(made[0].image.shape)
    assert len(shapes) > 10
