"""Scoring one window at a time, as the published code does: slow, small, and what the engine is held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from flexhook.media.frame_wrappers import read_resized
from flexhook.methods.two_stage.plan import ScoringPlan
from flexhook.methods.two_stage.referring_model import WindowBatch
from flexhook.structures import Expression, TrackSet, Video


@torch.inference_mode()
def score_window_by_window(
    model,
    tokenize,
    image_size: tuple[int, int],
    video: Video,
    tracks: TrackSet,
    expressions: Sequence[Expression],
    rows: np.ndarray | None = None,
    group: int = 8,
) -> np.ndarray:
    """Encode the frames and sentences of every window again for every group of expressions.

    Args:
        model: The model, in evaluation mode, on the device that is to compute.
        tokenize: The text encoder's tokeniser.
        image_size: (height, width) the model sees.
        video: The video.
        tracks: Trajectories.
        expressions: Sentences.
        rows: Observations to judge; all of them where it is None.
        group: Expressions per pass.

    Returns:
        (k, E, 2) float32 logits.
    """
    plan = ScoringPlan.of(tracks, model.num_frames, np.ones(len(tracks), bool))
    rows = np.arange(len(tracks)) if rows is None else rows
    out, device = np.zeros((len(rows), len(expressions), 2), np.float32), next(model.parameters()).device
    for k, row in enumerate(rows):
        images = [read_resized(video, int(frame), image_size) for frame in plan.frames[row]]
        pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        boxes = torch.from_numpy(video.normalised(tracks.box[plan.rows[row]])).float()[None]
        for start in range(0, len(expressions), group):
            ids, mask = tokenize([e.sentence for e in expressions[start : start + group]])
            batch = WindowBatch(frame=torch.arange(model.num_frames)[None], boxes=boxes, mask=mask, images=pictures, ids=ids)
            out[k, start : start + group] = model(batch.to(device)).logits[0, -1].cpu().numpy()
    return out
