"""TransRMOT: tracked objects keep their queries; some survivors are dropped and false positives are added in training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.geometry import corners, inverse_sigmoid
from flexhook.methods.one_stage.network import OneStageNetwork
from flexhook.methods.one_stage.tracks import TrackTable

KEEP_IOU = 0.5
"""A track whose box overlaps its truth by less is not handed on in training."""


class TransRMOT(OneStageNetwork):
    """The network of TransRMOT.

    Args:
        visual: As of :class:`~flexhook.methods.one_stage.network.OneStageNetwork`, as the rest of ``sizes``.
        text: Likewise.
        random_drop: Probability that a survivor is dropped in training. Larger trains births more.
        fp_ratio: Probability that a survivor brings the free instance that overlaps it most into the next frame.
        sizes: Width, heads, layers and the like.

    Raises:
        ConfigError: A probability beyond [0, 1], or as the base class.
    """

    def __init__(self, visual: Any, text: Any, random_drop: float = 0.1, fp_ratio: float = 0.3, **sizes: Any) -> None:
        super().__init__(visual, text, **sizes)
        for name, value in {"random_drop": random_drop, "fp_ratio": fp_ratio}.items():
            if not 0 <= value <= 1:
                raise ConfigError(f"model.{name} is {value}", expected="a probability")
        self.random_drop, self.fp_ratio = random_drop, fp_ratio

    def continue_training(self, table: TrackTable, generator: torch.Generator | None) -> TrackTable:
        """Well localised objects, less dropped ones, and false positives behind them, which keep the identity -1."""
        alive = torch.nonzero((table.identity >= 0) & (table.iou > KEEP_IOU))[:, 0]
        if self.random_drop and generator is not None:
            alive = alive[_draw(len(alive), generator).to(alive.device) >= self.random_drop]
        picked = alive
        if self.fp_ratio < 1:
            chance = _draw(len(alive), generator) if generator is not None and self.fp_ratio else torch.ones(len(alive))
            picked = alive[(chance < self.fp_ratio).to(alive.device)]
        return table.select(torch.cat([alive, self._false_positives(table, picked)]))

    @staticmethod
    def _false_positives(table: TrackTable, picked: Tensor) -> Tensor:
        """Rows of the free instances that overlap the picked rows most, each once, in rising order."""
        free = torch.nonzero(table.identity < 0)[:, 0]
        if not len(picked):
            return free[:0]
        if len(picked) >= len(free):
            return free
        boxes = corners(table.boxes.detach())
        return free[box_iou(boxes[free], boxes[picked]).argmax(0).unique()]

    def interact(self, survivors: TrackTable) -> TrackTable:
        """New queries for all survivors; they begin at the centres of their boxes."""
        return replace(survivors, query=self.track_embed(survivors.embedding, survivors.query),
                       reference=inverse_sigmoid(survivors.boxes.detach()[:, :2]))


def _draw(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator)
