"""A training clip: frame after frame with the tracks of the frame before, losses that reach back through time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from flexhook.methods.one_stage.losses import LossWeights, frame_losses
from flexhook.methods.one_stage.matching import FrameTruth, MatchCost, Matching, match, with_overlaps
from flexhook.methods.one_stage.network import OneStageNetwork, Refined, Words
from flexhook.methods.one_stage.tracks import TrackTable
from flexhook.methods.one_stage.transformer import Decoded


@dataclass
class ClipFrame:
    """What happened in one frame of a clip.

    Attributes:
        entered: The table that entered it.
        decoded: The decoder's answers.
        matched: The table after the matching.
        matching: Which truth every instance has.
        refined: The table after refinement; ``matched`` without a memory.
        answers: The refined answers; None without a memory.
        handed_on: The survivors, after the interaction; None in the last frame.
    """

    entered: TrackTable
    decoded: Decoded
    matched: TrackTable
    matching: Matching
    refined: TrackTable
    answers: Refined | None = None
    handed_on: TrackTable | None = None


@dataclass
class ClipRun:
    """A clip's losses.

    Attributes:
        sums: Each loss by name (``frame_0_loss_ce``, ``frame_0_aux0_loss_ce``, ``frame_0_temporal_loss_ce``), not divided.
        samples: Truths and disappeared tracks of all frames, what the losses are divided by where it is over 1.
        frames: What happened in each frame.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    samples: int = 0
    frames: list[ClipFrame] = field(default_factory=list)

    def total(self, weights: LossWeights, samples: float | Tensor | None = None) -> Tensor:
        """The loss.

        Args:
            weights: Weights of the terms.
            samples: The divisor where it is not this clip's own, as the mean over several processes.
        """
        divisor = max(float(self.samples if samples is None else samples), 1.0)
        return torch.stack([weights.of(name) * value for name, value in self.sums.items()]).sum() / divisor


def run_clip(
    network: OneStageNetwork,
    frames: Sequence[Sequence[Tensor]],
    words: Words,
    truths: Sequence[FrameTruth],
    cost: MatchCost,
    generator: torch.Generator | None = None,
    save_memory: bool = False,
) -> ClipRun:
    """Run a clip of one sentence.

    Args:
        network: The network.
        frames: Per frame the projected pyramid, per level (d, h, w).
        words: The sentence.
        truths: The objects of each frame.
        cost: Weights of the matching.
        generator: For the random choices of who continues; None to leave them out.
        save_memory: Compute all frames but the last twice, to keep less for the gradients. No number changes.

    Raises:
        InputError: The network's answers are not finite.
    """
    run, table = ClipRun(), network.fresh_table(network.train_history)
    for index, (pyramid, truth) in enumerate(zip(frames, truths, strict=True)):
        last = index == len(frames) - 1
        if save_memory and not last:
            decoded: Decoded = checkpoint(network.decode, pyramid, words, table, use_reentrant=False)
        else:
            decoded = network.decode(pyramid, words, table)
        matched, matching = match(network.observe(table, decoded), decoded, truth, cost)
        refined, answers = network.refine(matched)
        frame = ClipFrame(table, decoded, matched, matching, refined, answers)
        if answers is not None:
            frame.refined = with_overlaps(refined, matching.truth, truth)
        _add_losses(run, index, frame, truth)
        if not last:
            frame.handed_on = network.interact(network.continue_training(frame.refined, generator))
            table = network.next_table(frame.handed_on)
        run.frames.append(frame)
        run.samples += len(truth) + matching.disappeared
    return run


def _add_losses(run: ClipRun, index: int, frame: ClipFrame, truth: FrameTruth) -> None:
    decoded, layers = frame.decoded, len(frame.decoded.boxes)
    for layer in range(layers):
        name = f"frame_{index}_loss" if layer == layers - 1 else f"frame_{index}_aux{layer}_loss"
        losses = frame_losses(decoded.class_logits[layer], decoded.refer_logits[layer], decoded.boxes[layer],
                              frame.matching.of_layer(layer), truth)
        run.sums |= {f"{name}_{term}": value for term, value in losses.items()}
    if frame.answers is not None:
        answers = frame.answers
        losses = frame_losses(answers.class_logits, answers.refer_logits, answers.boxes, frame.matching.truth, truth)
        run.sums |= {f"frame_{index}_temporal_loss_{term}": value for term, value in losses.items()}
