"""What a one-stage model computes for each part of a golden folder, under the folder's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexhook.convert.one_stage import TWICE
from flexhook.methods.one_stage.clip import ClipFrame, run_clip
from flexhook.methods.one_stage.losses import LossWeights
from flexhook.methods.one_stage.matching import FrameTruth, MatchCost
from flexhook.methods.one_stage.online import OnlineFrame, OnlineTracker, Thresholds, frame_rows
from flexhook.methods.temprmot.network import KEEP_SCORE


@dataclass
class Found:
    """What was computed.

    Attributes:
        values: By quantity.
        gradients: Gradient norms by published parameter name.
        frames: Number of frames.
    """

    values: dict[str, np.ndarray]
    gradients: dict[str, float] = field(default_factory=dict)
    frames: int = 1


@torch.no_grad()
def single_part(network: Any, maps: Sequence[Tensor], words: Tensor) -> Found:
    """One image with fresh queries: maps (1, C_s, h, w), word features (L, text width)."""
    sentence = network.words(words)
    pyramid = [level[0] for level in network.project(maps)]
    memory, shapes = network.encode(pyramid, sentence)
    decoded = network.decode(pyramid, sentence, network.fresh_table())
    values = {
        "text_tokens": sentence.tokens, "text_position": sentence.position, "memory": memory, "hs": decoded.hidden,
        "encoder_position": network.transformer.encoder_position(shapes, memory), "init_reference": decoded.init_reference,
        "references": decoded.boxes, "class_logits": decoded.class_logits, "refer_logits": decoded.refer_logits,
        "boxes": decoded.boxes, **{f"fused_{k}": network.fuse(level, sentence) for k, level in enumerate(pyramid)},
    }  # fmt: skip
    return Found(_numpy(values))


def clip_part(
    network: Any, maps: Sequence[Sequence[Tensor]], words: Tensor, truths: Sequence[FrameTruth], cost: MatchCost,
    weights: LossWeights,
) -> Found:
    """A training step on a clip, nothing drawn."""
    pyramids = [[level[0] for level in network.project(m)] for m in maps]
    run = run_clip(network, pyramids, network.words(words), truths, cost)
    total = run.total(weights)
    total.backward()
    divisor = max(run.samples, 1)
    values: dict[str, Any] = {"num_samples": float(run.samples), "total": total}
    values |= {f"losses_raw_sums/{k}": v for k, v in run.sums.items()}
    values |= {f"losses/{k}": v / divisor for k, v in run.sums.items()}
    values |= {f"weights/{k}": weights.of(k) for k in run.sums}
    for f, frame in enumerate(run.frames):
        values |= {f"frame{f}_{k}": v for k, v in _clip_frame(frame).items()}
    gradients = {}
    for name, parameter in network.named_parameters():
        published = TWICE + name.removeprefix("bbox_embed.") if name.startswith("bbox_embed.") else name
        gradients[published] = 0.0 if parameter.grad is None else float(torch.linalg.vector_norm(parameter.grad))
    values["total_grad_norm"] = float(np.linalg.norm(list(gradients.values())))
    return Found(_numpy(values), gradients, len(maps))


def _clip_frame(frame: ClipFrame) -> dict[str, Any]:
    entered, decoded, matched, refined = frame.entered, frame.decoded, frame.matched, frame.refined
    values: dict[str, Any] = {
        "in_query_pos": entered.query, "in_ref_pts": entered.reference, "in_obj_ids": entered.identity, "in_iou": entered.iou,
        "in_hist_embeds": entered.history, "in_hist_mask": entered.empty, "class_logits": decoded.class_logits,
        "boxes": decoded.boxes, "refer_logits": decoded.refer_logits, "hs_last": decoded.hidden[-1],
        "obj_ids": matched.identity, "matched_gt": frame.matching.truth, "iou": matched.iou,
        **{f"new_pairs_layer{k}": pairs for k, pairs in enumerate(frame.matching.new_pairs)},
    }  # fmt: skip
    if frame.answers is not None:
        values |= {
            "st_embedding_before": decoded.hidden[-1], "st_logits_before": decoded.class_logits[-1],
            "st_boxes_before": decoded.boxes[-1], "st_refers_before": decoded.refer_logits[-1],
            "st_hist_before": entered.history, "st_mask_before": entered.empty, **_refined(refined),
            "iou_refined": refined.iou,
        }  # fmt: skip
    if frame.handed_on is not None:
        values |= {f"out_{k}": v for k, v in _survivors(frame.handed_on).items()}
    return values


def _refined(table: Any) -> dict[str, Any]:
    return {
        "st_embedding_after": table.embedding, "st_logits_after": table.class_logits, "st_boxes_after": table.boxes,
        "st_refers_after": table.refer_logits, "st_hist_after": table.history, "st_mask_after": table.empty,
    }  # fmt: skip


def _survivors(table: Any) -> dict[str, Any]:
    return {
        "obj_ids": table.identity, "query_pos": table.query, "ref_pts": table.reference, "embedding": table.embedding,
        "iou": table.iou, "scores": table.scores, "hist_embeds": table.history, "hist_mask": table.empty,
    }  # fmt: skip


def online_part(
    network: Any, maps: Sequence[Sequence[Tensor]], words: Tensor, thresholds: Thresholds, size: tuple[int, int]
) -> Found:
    """Run time over all frames; ``size`` is (height, width) of the original frames."""
    with torch.no_grad():
        tracker = OnlineTracker(network, network.words(words), thresholds)
    values: dict[str, Any] = {}
    events: dict[str, list] = {"births": [], "deaths": [], "misses": [], "recoveries": []}
    counts = dict.fromkeys(("continuations", "strong", "output_rows", "held_back"), 0)
    margin = np.inf
    for f, m in enumerate(maps):
        with torch.no_grad():
            pyramid = [level[0] for level in network.project(m)]
        fresh = network.num_queries
        frame = tracker.update(pyramid)
        rows = frame_rows(frame.survivors, size, thresholds)
        table = torch.cat([rows.box, rows.score[:, None], rows.identity[:, None] + 1.0], -1)[rows.accepted]
        found = _online_frame(frame, fresh) | {"result_rows": table, "track_boxes_xyxy_pixels": rows.box,
                                               "track_refers": rows.refer, "track_scores": rows.score}
        values |= {f"frame{f}_{k}": v for k, v in found.items()}
        events["births"] += [(f, k) for k in frame.events.births]
        events["deaths"] += [(f, k) for k in frame.events.deaths]
        events["misses"] += [(f, *k) for k in frame.events.misses]
        events["recoveries"] += [(f, k) for k in frame.events.recoveries]
        counts["continuations"] += len(rows.identity) - len(frame.events.births)
        counts["strong"] += int((frame.survivors.disappear_time == 0).sum()) - len(frame.events.births)
        counts["output_rows"] += len(table)
        counts["held_back"] += len(rows.identity) - len(table)
        margin = min(margin, _margin(frame, thresholds))
    values |= {f"events/{k}": np.array(v, np.int64) for k, v in events.items()}
    values |= {f"events/{k}": np.array(v) for k, v in counts.items()}
    values["min_margin_to_thresholds"] = margin
    return Found(_numpy(values), {}, len(maps))


def _online_frame(frame: OnlineFrame, fresh: int) -> dict[str, Any]:
    decoded, refined, out = frame.decoded, frame.refined, frame.survivors
    return {
        "all_scores": refined.scores, "all_ids": refined.identity, "all_disappear_time": refined.disappear_time,
        "all_boxes": refined.boxes, "all_class_logits": refined.class_logits, "all_refer_logits": refined.refer_logits,
        "st_embedding_before": decoded.embedding, "st_logits_before": decoded.class_logits,
        "st_boxes_before": decoded.boxes, "st_refers_before": decoded.refer_logits, "st_hist_before": decoded.history,
        "st_mask_before": decoded.empty, **_refined(refined), "st_hist_after_tracks_only": refined.history[fresh:],
        **{f"out_{k}": v for k, v in _survivors(out).items()}, "track_ids": out.identity,
        "track_disappear_time": out.disappear_time,
    }  # fmt: skip


def _margin(frame: OnlineFrame, thresholds: Thresholds) -> float:
    """The smallest distance of a score to a threshold; TempRMOT's interaction has one at 0.5, which counts for both."""
    scores, refers = frame.refined.scores, frame.refined.refer_logits.sigmoid()
    rules = (thresholds.birth, thresholds.miss_below, thresholds.score_above, KEEP_SCORE)
    distances = [(scores - t).abs().min() for t in rules]
    return float(torch.stack([*distances, (refers - thresholds.refer_above).abs().min()]).min())


def _numpy(values: dict[str, Any]) -> dict[str, np.ndarray]:
    return {k: v.detach().numpy() if isinstance(v, Tensor) else np.asarray(v) for k, v in values.items()}
