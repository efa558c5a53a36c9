"""The same statistics by the trackeval package itself: the reference that the fast evaluation is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
from trackeval.datasets import MotChallenge2DBox
from trackeval.metrics import CLEAR, HOTA, Identity

from flexhook.evaluation.overlaps import Boxes
from flexhook.evaluation.statistics import Statistics


def reference_statistics(truth: Boxes, tracks: Boxes, truth_rows: list[np.ndarray], track_rows: list[np.ndarray]) -> Statistics:
    """TrackEval's results of every sequence, as sums; arguments as in :class:`flexhook.evaluation.jobs.Job`."""
    metrics = {"HOTA": HOTA(), "CLEAR": CLEAR({"PRINT_CONFIG": False}), "Identity": Identity({"PRINT_CONFIG": False})}
    out = Statistics.zeros(len(truth_rows))
    for s, (a, b) in enumerate(zip(truth_rows, track_rows, strict=True)):
        data = sequence_data(truth, tracks, a, b)
        result = {name: metric.eval_sequence(data) for name, metric in metrics.items()}
        found = result["HOTA"]["HOTA_TP"]
        out.matches[s] = found
        out.overlap[s] = result["HOTA"]["LocA"] * found
        out.association[s] = result["HOTA"]["AssA"] * found
        out.association_recall[s] = result["HOTA"]["AssRe"] * found
        out.association_precision[s] = result["HOTA"]["AssPr"] * found
        out.truth[s], out.predicted[s] = len(a), len(b)
        out.clear_matches[s], out.switches[s] = result["CLEAR"]["CLR_TP"], result["CLEAR"]["IDSW"]
        out.identity_matches[s] = result["Identity"]["IDTP"]
    return out


def sequence_data(truth: Boxes, tracks: Boxes, truth_rows: np.ndarray, track_rows: np.ndarray) -> dict[str, Any]:
    """One sequence as TrackEval's metrics take it: lists over frames of contiguous identities and IoU matrices."""
    frames = np.union1d(truth.frame[truth_rows], tracks.frame[track_rows])
    ids_t, code_t = np.unique(truth.identity[truth_rows], return_inverse=True)
    ids_p, code_p = np.unique(tracks.identity[track_rows], return_inverse=True)
    data: dict[str, Any] = {
        "num_timesteps": len(frames),
        "num_gt_ids": len(ids_t),
        "num_tracker_ids": len(ids_p),
        "num_gt_dets": len(truth_rows),
        "num_tracker_dets": len(track_rows),
        "gt_ids": [],
        "tracker_ids": [],
        "similarity_scores": [],
    }
    for frame in frames:
        a, b = truth.frame[truth_rows] == frame, tracks.frame[track_rows] == frame
        data["gt_ids"].append(code_t[a])
        data["tracker_ids"].append(code_p[b])
        data["similarity_scores"].append(
            MotChallenge2DBox._calculate_box_ious(truth.box[truth_rows[a]], tracks.box[track_rows[b]], box_format="x0y0x1y1")
        )
    return data
