"""The algorithms of the package `trackers`, behind one wrapper: classes, frame rate, and identities that are always there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from supervision import Detections

from flexhook.errors import ConfigError
from flexhook.structures.digests import digest
from flexhook.trackers.detections import make_detections

#: Frame rate in whose frames the package counts ``lost_track_buffer``; taken where a video's is not known.
PACKAGE_FRAME_RATE = 30.0


class PackageAssociator(ABC):
    """What the four algorithms share.

    The package gives the identity -1 to boxes that no track has taken yet: the first ones of a track, those of OC-SORT after
    a gap, and weak ones. Such rows do not leave :meth:`update`; :class:`flexhook.trackers.detect.DetectingTracker` gives the
    first ones back to their track where it may look ahead.

    Args:
        class_agnostic: Link boxes whatever their class. Otherwise each class is linked by itself, and a track keeps its class.
        settings: Arguments of the package's class.

    Raises:
        ConfigError: A setting is out of its range.
    """

    uses_frames = False

    def __init__(self, class_agnostic: bool = False, **settings: Any) -> None:
        self.class_agnostic, self.settings = bool(class_agnostic), settings
        for name, value in settings.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
                raise ConfigError(f"associator.{name} is {value}", expected="a number, 0 or more")
        self.reset()

    @abstractmethod
    def _make(self, **settings: Any) -> Any:
        """The package's object."""

    def reset(self, frame_rate: float | None = None) -> None:
        """Begin a new video; identities begin at 1 again.

        Args:
            frame_rate: Frames per second; None takes 30.
        """
        self._frame_rate = float(frame_rate or PACKAGE_FRAME_RATE)
        self._trackers: dict[int, Any] = {}
        self._identities: dict[tuple[int, int], int] = {}

    def update(self, detections: Detections, frame: np.ndarray | None = None) -> Detections:
        """Link the detections of the next frame; see :class:`flexhook.structures.protocols.Associator`."""
        classes = np.zeros(len(detections), np.int64)
        if not self.class_agnostic and detections.class_id is not None:
            classes = np.asarray(detections.class_id, np.int64)
        picture = np.ascontiguousarray(frame[..., ::-1]) if self.uses_frames and frame is not None else None  # BGR
        parts: list[Any] = []
        for number in sorted({*self._trackers, *classes.tolist()}):
            if number not in self._trackers:
                self._trackers[number] = self._make(frame_rate=self._frame_rate, **self.settings)
            more = {} if picture is None else {"frame": picture}
            found = self._trackers[number].update(detections[classes == number], **more)
            found = found[found.tracker_id >= 0] if len(found) else found
            if len(found):
                found.tracker_id = np.array([self._identity(number, int(k)) for k in found.tracker_id], np.int64)
                parts.append(found)
        return Detections.merge(parts) if parts else make_detections([], identities=[])

    def key(self) -> str:
        """Class and settings."""
        settings = sorted(self.settings.items())
        return f"{type(self).__name__} {digest(str(settings))} {self.class_agnostic}"

    def _identity(self, number: int, identity: int) -> int:
        """The identity of a track of one class's tracker, from 1 on in the order of their appearance."""
        return self._identities.setdefault((number, identity), len(self._identities) + 1)
