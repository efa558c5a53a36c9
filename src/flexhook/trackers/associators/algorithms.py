"""SORT, ByteTrack, OC-SORT and BoT-SORT, of the package `trackers` (Roboflow, Apache-2.0).

The defaults gave the best HOTA, or one as good with fewer false boxes, on the validation videos of the synthetic world with the
embedded detector (36 to 52 draws each from a grid; BoT-SORT without compensation of the camera's motion).
"""

from __future__ import annotations

from typing import Any

import trackers
from flexhook.trackers.associators.package import PackageAssociator


class Sort(PackageAssociator):
    """SORT (https://arxiv.org/abs/1602.00763): Kalman prediction and overlap, strong boxes only.

    Args:
        lost_track_buffer: How long a track without boxes is kept, in frames at 30 per second. A larger value bridges longer
            occlusions and mixes up more objects.
        track_activation_threshold: Score from which a box may begin a track. A larger value begins fewer false tracks and
            misses more weak objects.
        minimum_consecutive_frames: Frames in a row that a track needs before it counts. A larger value leaves out more false
            tracks, and objects that are seen shortly.
        minimum_iou_threshold: Overlap with its prediction that a box needs to continue a track, 0 to 1. A larger value links
            more carefully and breaks more tracks of fast objects.
        class_agnostic: Link boxes whatever their class.
    """

    def __init__(
        self,
        lost_track_buffer: int = 60,
        track_activation_threshold: float = 0.7,
        minimum_consecutive_frames: int = 2,
        minimum_iou_threshold: float = 0.3,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__(
            class_agnostic,
            lost_track_buffer=lost_track_buffer,
            track_activation_threshold=track_activation_threshold,
            minimum_consecutive_frames=minimum_consecutive_frames,
            minimum_iou_threshold=minimum_iou_threshold,
        )

    def _make(self, **settings: Any) -> Any:
        return trackers.SORTTracker(**settings)


class ByteTrack(PackageAssociator):
    """ByteTrack (https://arxiv.org/abs/2110.06864): strong boxes first, then weak ones to the tracks that are left.

    Args:
        lost_track_buffer: How long a track without boxes is kept, in frames at 30 per second. A larger value bridges longer
            occlusions and mixes up more objects.
        track_activation_threshold: Score from which a box may begin a track. A larger value begins fewer false tracks and
            misses more weak objects.
        minimum_consecutive_frames: Frames in a row that a track needs before it counts. A larger value leaves out more false
            tracks, and objects that are seen shortly.
        minimum_iou_threshold: Overlap with its prediction that a box needs to continue a track, 0 to 1. A larger value links
            more carefully and breaks more tracks of fast objects.
        high_conf_det_threshold: Score from which a box is strong. A larger value leaves more boxes to the second step, which
            begins no tracks.
        class_agnostic: Link boxes whatever their class.
    """

    def __init__(
        self,
        lost_track_buffer: int = 30,
        track_activation_threshold: float = 0.6,
        minimum_consecutive_frames: int = 3,
        minimum_iou_threshold: float = 0.1,
        high_conf_det_threshold: float = 0.6,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__(
            class_agnostic,
            lost_track_buffer=lost_track_buffer,
            track_activation_threshold=track_activation_threshold,
            minimum_consecutive_frames=minimum_consecutive_frames,
            minimum_iou_threshold=minimum_iou_threshold,
            high_conf_det_threshold=high_conf_det_threshold,
        )

    def _make(self, **settings: Any) -> Any:
        return trackers.ByteTrackTracker(**settings)


class OCSort(PackageAssociator):
    """OC-SORT (https://arxiv.org/abs/2203.14360): overlap and direction of motion, corrected by what was observed.

    Args:
        lost_track_buffer: How long a track without boxes is kept, in frames at 30 per second. A larger value bridges longer
            occlusions and mixes up more objects.
        minimum_consecutive_frames: Frames in a row that a track needs before it counts. A larger value leaves out more false
            tracks, and objects that are seen shortly.
        minimum_iou_threshold: Overlap with its prediction that a box needs to continue a track, 0 to 1. A larger value links
            more carefully and breaks more tracks of fast objects.
        direction_consistency_weight: Weight of the agreement in direction beside overlap. A larger value trusts steady motion
            more, and turning objects less.
        high_conf_det_threshold: Score from which boxes are used at all. A larger value leaves out more false boxes and more
            weak objects.
        delta_t: Frames over which the direction is measured. A larger value is steadier and follows turns later.
        class_agnostic: Link boxes whatever their class.
    """

    def __init__(
        self,
        lost_track_buffer: int = 60,
        minimum_consecutive_frames: int = 2,
        minimum_iou_threshold: float = 0.1,
        direction_consistency_weight: float = 0.2,
        high_conf_det_threshold: float = 0.6,
        delta_t: int = 3,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__(
            class_agnostic,
            lost_track_buffer=lost_track_buffer,
            minimum_consecutive_frames=minimum_consecutive_frames,
            minimum_iou_threshold=minimum_iou_threshold,
            direction_consistency_weight=direction_consistency_weight,
            high_conf_det_threshold=high_conf_det_threshold,
            delta_t=delta_t,
        )

    def _make(self, **settings: Any) -> Any:
        return trackers.OCSORTTracker(**settings)


class BotSort(PackageAssociator):
    """BoT-SORT (https://arxiv.org/abs/2206.14651) without appearance: ByteTrack with compensation of the camera's motion.

    Args:
        lost_track_buffer: How long a track without boxes is kept, in frames at 30 per second. A larger value bridges longer
            occlusions and mixes up more objects.
        track_activation_threshold: Score from which a box may begin a track. A larger value begins fewer false tracks and
            misses more weak objects.
        minimum_consecutive_frames: Frames in a row that a track needs before it counts. A larger value leaves out more false
            tracks, and objects that are seen shortly.
        minimum_iou_threshold_first_assoc: Overlap times score that a strong box needs to continue a track, 0 to 1. A larger
            value links more carefully and breaks more tracks.
        minimum_iou_threshold_second_assoc: The same for weak boxes.
        minimum_iou_threshold_unconfirmed_assoc: The same for tracks that do not count yet.
        high_conf_det_threshold: Score from which a box is strong. A larger value leaves more boxes to the second step, which
            begins no tracks.
        enable_cmc: Compensate the camera's motion, for which it looks at the pictures. Slower; for cameras that move.
        cmc_method: ``"sparseOptFlow"``, ``"orb"``, ``"sift"`` or ``"ecc"``.
        cmc_downscale: Pictures are made smaller by this factor for it. A larger value is faster and less exact.
        class_agnostic: Link boxes whatever their class.
    """

    def __init__(
        self,
        lost_track_buffer: int = 30,
        track_activation_threshold: float = 0.6,
        minimum_consecutive_frames: int = 3,
        minimum_iou_threshold_first_assoc: float = 0.2,
        minimum_iou_threshold_second_assoc: float = 0.3,
        minimum_iou_threshold_unconfirmed_assoc: float = 0.3,
        high_conf_det_threshold: float = 0.5,
        enable_cmc: bool = True,
        cmc_method: str = "sparseOptFlow",
        cmc_downscale: int = 2,
        class_agnostic: bool = False,
    ) -> None:
        self.uses_frames = bool(enable_cmc)
        super().__init__(
            class_agnostic,
            lost_track_buffer=lost_track_buffer,
            track_activation_threshold=track_activation_threshold,
            minimum_consecutive_frames=minimum_consecutive_frames,
            minimum_iou_threshold_first_assoc=minimum_iou_threshold_first_assoc,
            minimum_iou_threshold_second_assoc=minimum_iou_threshold_second_assoc,
            minimum_iou_threshold_unconfirmed_assoc=minimum_iou_threshold_unconfirmed_assoc,
            high_conf_det_threshold=high_conf_det_threshold,
            enable_cmc=enable_cmc,
            cmc_method=cmc_method,
            cmc_downscale=cmc_downscale,
        )

    def _make(self, **settings: Any) -> Any:
        return trackers.BoTSORTTracker(**settings)
