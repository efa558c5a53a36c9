"""TempRMOT: the memory refines the decoder's answers; confident instances continue, also those without an object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.geometry import inverse_sigmoid
from flexhook.methods.one_stage.network import OneStageNetwork, Refined
from flexhook.methods.one_stage.tracks import TrackTable
from flexhook.methods.temprmot.temporal import TemporalModule

KEEP_IOU = 0.5
"""An instance whose refined box overlaps its truth by no more loses its identity in training."""
KEEP_SCORE = 0.5
"""An instance with a larger refined score continues, and only such ones get new queries."""


class TempRMOT(OneStageNetwork):
    """The network of TempRMOT.

    Args:
        visual: As of :class:`~flexhook.methods.one_stage.network.OneStageNetwork`, as the rest of ``sizes``.
        text: Likewise.
        train_history: H in training, frames of the memory; at least 2.
        test_history: H at run time. Published with 8, though trained with 4 or 5: older memory is seen than ever in training.
        temporal_layers: Layers of each of the memory's transformers.
        temporal_ffn: Hidden width of their feed-forward networks.
        temporal_dropout: Their dropout.
        sizes: Width, heads, layers and the like.

    Raises:
        ConfigError: A memory of less than two frames, or as the base class.
    """

    fresh_iou = 1.0

    def __init__(
        self,
        visual: Any,
        text: Any,
        train_history: int = 4,
        test_history: int = 8,
        temporal_layers: int = 3,
        temporal_ffn: int = 1024,
        temporal_dropout: float = 0.1,
        **sizes: Any,
    ) -> None:
        super().__init__(visual, text, **sizes)
        if min(train_history, test_history) < 2:
            raise ConfigError(f"model.train_history is {train_history}, model.test_history {test_history}",
                              expected="at least 2 frames each")
        self.train_history, self.test_history = train_history, test_history
        self.STReasoner = TemporalModule(self.width, temporal_layers, temporal_ffn, temporal_dropout)

    def refine(self, table: TrackTable) -> tuple[TrackTable, Refined | None]:
        """Embeddings, answers and histories after the temporal module."""
        embedding, history, empty, refined = self.STReasoner(table)
        table = replace(table, embedding=embedding, history=history, empty=empty, class_logits=refined.class_logits,
                        refer_logits=refined.refer_logits, boxes=refined.boxes,
                        scores=refined.class_logits.detach().sigmoid()[:, 0])
        return table, refined

    def continue_training(self, table: TrackTable, generator: torch.Generator | None) -> TrackTable:
        """Tracks and confident instances; badly localised ones lose their identity and stay, as idle tracks."""
        table = table.select((table.identity >= 0) | (table.scores > KEEP_SCORE))
        return replace(table, identity=torch.where(table.iou > KEEP_IOU, table.identity, -1))

    def interact(self, survivors: TrackTable) -> TrackTable:
        """New queries for confident survivors, by interaction of all; the others keep theirs."""
        query = self.track_embed(survivors.embedding, survivors.query)
        sure = survivors.scores[:, None] > KEEP_SCORE
        return replace(survivors, query=torch.where(sure, query, survivors.query),
                       reference=torch.where(sure, inverse_sigmoid(survivors.boxes.detach()[:, :2]), survivors.reference))
