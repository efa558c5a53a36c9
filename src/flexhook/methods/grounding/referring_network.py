"""A small text-conditioned detector: the one-stage network without track queries."""

from __future__ import annotations

from typing import Any

import torch

from flexhook.methods.one_stage.network import OneStageNetwork
from flexhook.methods.one_stage.tracks import TrackTable


class ReferringDetector(OneStageNetwork):
    """Each frame by itself: all instances are detection queries, and nothing goes on to the next frame.

    Args:
        visual: As of :class:`~flexhook.methods.one_stage.network.OneStageNetwork`, as the rest of ``sizes``.
        text: Likewise.
        sizes: Width, heads, layers and the like.

    Raises:
        ConfigError: As the base class.
    """

    def __init__(self, visual: Any, text: Any, **sizes: Any) -> None:
        super().__init__(visual, text, **sizes)
        del self.track_embed  # the interaction of track queries

    def continue_training(self, table: TrackTable, generator: torch.Generator | None) -> TrackTable:
        """No instance."""
        return table.select(torch.zeros(len(table), dtype=torch.bool, device=table.query.device))

    def interact(self, survivors: TrackTable) -> TrackTable:
        """Queries for a next frame are not needed."""
        return survivors

    def next_table(self, survivors: TrackTable) -> TrackTable:
        """The detection queries alone."""
        return self.fresh_table()
