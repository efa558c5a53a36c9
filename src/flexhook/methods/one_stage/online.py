"""Run time: births, misses and deaths of tracks by thresholds on the class score, frame after frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from flexhook.errors import ConfigError
from flexhook.methods.one_stage.geometry import corners
from flexhook.methods.one_stage.network import OneStageNetwork, Words
from flexhook.methods.one_stage.tracks import TrackTable


@dataclass(frozen=True)
class Thresholds:
    """When tracks begin, end and are output.

    Attributes:
        birth: Class score from which an instance becomes a track, and a track counts as seen. Larger gives fewer tracks.
        miss_below: Class score under which a track counts as missed.
        miss_tolerance: At so many misses the track ends.
        score_above: A row is a candidate where its class score is larger.
        area_above: And its area, in squared pixels of the original frame.
        refer_above: A candidate is accepted where its refer probability is larger.

    Raises:
        ConfigError: One is out of range.
    """

    birth: float
    miss_below: float
    miss_tolerance: int
    score_above: float
    area_above: float
    refer_above: float

    def __post_init__(self) -> None:
        for name in ("birth", "miss_below", "score_above", "refer_above"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"method.thresholds.{name} is {getattr(self, name)}", expected="a probability")
        if self.miss_below > self.birth or self.miss_tolerance < 1:
            raise ConfigError(f"method.thresholds.miss_below is {self.miss_below}, miss_tolerance {self.miss_tolerance}",
                              expected="at most birth, and at least 1")


@dataclass
class Events:
    """What happened to tracks in a frame, in the order of the table.

    Attributes:
        births: Identities.
        deaths: Identities.
        misses: (identity, number of misses).
        recoveries: Identities that had been missed.
    """

    births: list[int] = field(default_factory=list)
    deaths: list[int] = field(default_factory=list)
    misses: list[tuple[int, int]] = field(default_factory=list)
    recoveries: list[int] = field(default_factory=list)


@dataclass
class OnlineFrame:
    """One frame at run time.

    Attributes:
        decoded: The table with the decoder's last answers.
        refined: The same after refinement and the changes of tracks.
        survivors: The tracks that go on, after the interaction.
        events: What happened to tracks.
    """

    decoded: TrackTable
    refined: TrackTable
    survivors: TrackTable
    events: Events


class OnlineTracker:
    """The tracks of one sentence in one video.

    Args:
        network: The network, in evaluation mode.
        words: The sentence.
        thresholds: When tracks begin and end.
    """

    def __init__(self, network: OneStageNetwork, words: Words, thresholds: Thresholds) -> None:
        self.network, self.words, self.thresholds = network, words, thresholds
        self.table = network.fresh_table(network.test_history)
        self.next_identity = 0

    @torch.no_grad()
    def update(self, pyramid: Sequence[Tensor]) -> OnlineFrame:
        """The next frame.

        Args:
            pyramid: Per level (d, h, w), projected.
        """
        decoded = self.network.observe(self.table, self.network.decode(pyramid, self.words, self.table))
        refined, events = self._change_tracks(self.network.refine(decoded)[0])
        survivors = self.network.interact(self.network.continue_tracking(refined))
        self.table = self.network.next_table(survivors)
        return OnlineFrame(decoded, refined, survivors, events)

    def _change_tracks(self, table: TrackTable) -> tuple[TrackTable, Events]:
        """Births, misses, recoveries and deaths."""
        events, rule = Events(), self.thresholds
        identity, missed = table.identity.tolist(), table.disappear_time.tolist()
        for k, score in enumerate(table.scores.tolist()):
            if score >= rule.birth:
                if identity[k] >= 0 and missed[k]:
                    events.recoveries.append(identity[k])
                missed[k] = 0
            if identity[k] == -1:
                if score >= rule.birth:
                    identity[k] = self.next_identity
                    events.births.append(self.next_identity)
                    self.next_identity += 1
            elif score < rule.miss_below:
                missed[k] += 1
                if missed[k] >= rule.miss_tolerance:
                    events.deaths.append(identity[k])
                    identity[k] = -1
                else:
                    events.misses.append((identity[k], missed[k]))
        device = table.identity.device
        return replace(table, identity=torch.tensor(identity, dtype=torch.int64, device=device),
                       disappear_time=torch.tensor(missed, dtype=torch.int64, device=device)), events


@dataclass
class FrameRows:
    """The tracks of a frame, in pixels of the original frame.

    Attributes:
        identity: (K,) int64.
        box: (K, 4) (x1, y1, x2, y2), not clipped.
        score: (K,) class probability.
        refer: (K,) refer probability.
        candidate: (K,) bool: score and area are large enough.
        accepted: (K,) bool: candidates that the sentence refers to.
    """

    identity: Tensor
    box: Tensor
    score: Tensor
    refer: Tensor
    candidate: Tensor
    accepted: Tensor


def frame_rows(survivors: TrackTable, size: tuple[int, int], thresholds: Thresholds) -> FrameRows:
    """The rows of a frame.

    Args:
        survivors: Its tracks.
        size: (height, width) of the original frame.
        thresholds: Which are output.
    """
    height, width = size
    box = corners(survivors.boxes) * survivors.boxes.new_tensor([width, height, width, height])
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    refer = survivors.refer_logits.sigmoid()[:, 0]
    candidate = (survivors.scores > thresholds.score_above) & (area > thresholds.area_above)
    return FrameRows(survivors.identity, box, survivors.scores, refer, candidate, candidate & (refer > thresholds.refer_above))
