"""Collective matching (MOTR): objects that are tracked keep their instance, new ones are assigned to idle instances."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import generalized_box_iou

from flexhook.errors import InputError
from flexhook.methods.one_stage.geometry import corners, iou_of_pairs
from flexhook.methods.one_stage.tracks import TrackTable
from flexhook.methods.one_stage.transformer import Decoded

ALPHA, GAMMA = 0.25, 2.0
"""Of the focal terms in cost and losses."""


@dataclass
class FrameTruth:
    """The G labelled objects of a frame. All are to be detected and tracked; the sentence refers to some.

    Attributes:
        boxes: (G, 4) (cx, cy, w, h), fractions of the image, not clipped.
        identity: (G,) int64.
        referred: (G,) float, 1 for referents.
    """

    boxes: Tensor
    identity: Tensor
    referred: Tensor

    def __len__(self) -> int:
        return len(self.identity)


@dataclass
class MatchCost:
    """Weights of the assignment's cost; the refer score has no part in it.

    Attributes:
        classes: Of the focal class cost.
        l1: Of the L1 distance of the boxes.
        giou: Of their negative generalised IoU.
    """

    classes: float = 2.0
    l1: float = 5.0
    giou: float = 2.0


@dataclass
class Matching:
    """Which truth every instance of a frame has.

    Attributes:
        truth: (Q,) int64 row of the truth after the last layer's assignment, -1 for none.
        kept: (Q,) the same before it: the truths of tracks alone.
        new_pairs: Per layer (n, 2) int64, the (instance, truth) pairs that are newly assigned, by instance.
        disappeared: Tracks whose object is not in this frame.
    """

    truth: Tensor
    kept: Tensor
    new_pairs: list[Tensor]
    disappeared: int

    def of_layer(self, layer: int) -> Tensor:
        """(Q,) the truth of every instance in the losses of a layer."""
        truth = self.kept.clone()
        truth[self.new_pairs[layer][:, 0]] = self.new_pairs[layer][:, 1]
        return truth


@torch.no_grad()
def match(table: TrackTable, decoded: Decoded, truth: FrameTruth, cost: MatchCost) -> tuple[TrackTable, Matching]:
    """Match the instances of a frame, and the table with their identities and overlaps.

    Args:
        table: The Q instances, with the decoder's answers.
        decoded: The answers of all layers.
        truth: The frame's objects.
        cost: Weights of the assignment.

    Raises:
        InputError: The network's answers are not finite.
    """
    kept = torch.full_like(table.identity, -1)
    if len(truth):
        same = (table.identity[:, None] == truth.identity) & (table.identity[:, None] >= 0)
        kept = torch.where(same.any(1), same.int().argmax(1), kept)
    idle = torch.nonzero(table.identity == -1)[:, 0]
    held = torch.zeros(len(truth), dtype=torch.bool, device=kept.device)
    held[kept[kept >= 0]] = True
    free = torch.nonzero(~held)[:, 0]
    pairs = [assign(logits, boxes, idle, free, truth, cost)
             for logits, boxes in zip(decoded.class_logits, decoded.boxes, strict=True)]
    disappeared = int(((table.identity >= 0) & (kept < 0)).sum())
    matching = Matching(kept, kept, pairs, disappeared)
    matching.truth = matching.of_layer(-1)
    identity = table.identity.clone()
    identity[pairs[-1][:, 0]] = truth.identity[pairs[-1][:, 1]]
    table = replace(table, identity=identity)
    return with_overlaps(table, matching.truth, truth), matching


def assign(
    class_logits: Tensor, boxes: Tensor, idle: Tensor, free: Tensor, truth: FrameTruth, cost: MatchCost
) -> Tensor:
    """The cheapest one-to-one assignment of free truths to idle instances.

    Args:
        class_logits: (Q, 1) of a layer.
        boxes: (Q, 4) of a layer.
        idle: (i,) rows of instances.
        free: (f,) rows of the truth.
        truth: The frame's objects.
        cost: Weights.

    Returns:
        (min(i, f), 2) pairs (instance, truth), by instance: where there are more objects than idle instances, some stay
        without one.

    Raises:
        InputError: The network's answers are not finite.
    """
    p = class_logits[idle].sigmoid()  # (i, 1)
    positive = ALPHA * (1 - p) ** GAMMA * -(p + 1e-8).log()
    negative = (1 - ALPHA) * p**GAMMA * -(1 - p + 1e-8).log()
    target = truth.boxes[free].to(boxes.dtype)
    distance = torch.cdist(boxes[idle], target, p=1)
    overlap = generalized_box_iou(corners(boxes[idle]), corners(target))
    total = cost.l1 * distance + cost.classes * (positive - negative) - cost.giou * overlap
    if not total.isfinite().all():
        raise InputError("the network's answers are not finite", expected="a training that converges",
                         hint="Lower optim.optimizer.lr, or set trainer.gradient_clip_val=0.1")
    rows, columns = (torch.from_numpy(x).to(idle.device) for x in linear_sum_assignment(total.cpu().numpy()))
    return torch.stack([idle[rows], free[columns]], -1)


@torch.no_grad()
def with_overlaps(table: TrackTable, matched: Tensor, truth: FrameTruth) -> TrackTable:
    """The table with the IoU of identified instances and their truths; the others keep the value that they had."""
    rows = torch.nonzero((table.identity >= 0) & (matched >= 0))[:, 0]
    iou = table.iou.clone()
    iou[rows] = iou_of_pairs(table.boxes[rows], truth.boxes[matched[rows]].to(table.boxes.dtype)).to(iou.dtype)
    return replace(table, iou=iou)
