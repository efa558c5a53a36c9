"""Frames of a camera or a network stream, as they come."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from flexhook.errors import InputError


def is_live(source: object) -> bool:
    """Whether a source is a camera (its number) or a stream (an address such as ``rtsp://...``), and not a file."""
    text = str(source).strip()
    return not isinstance(source, bool) and (text.isdecimal() or re.match(r"[a-z][a-z0-9+.-]+://", text, re.I) is not None)


class LiveFrames:
    """A camera or a stream, opened; a context manager and an iterator of (height, width, 3) uint8 RGB frames.

    Args:
        source: Number of the camera, from 0, or an address (``rtsp://``, ``http://``, ``file://``, ...).

    Attributes:
        frame_rate: Frames per second, or None where the source does not say.
        size: (height, width) of the first frame.

    Raises:
        InputError: It does not open, or gives no frame.
    """

    def __init__(self, source: int | str) -> None:
        text = str(source).strip()
        self.name = f"camera {text}" if text.isdecimal() else text
        self._capture: Any = cv2.VideoCapture(int(text) if text.isdecimal() else text.removeprefix("file://"))
        first: Any = None
        opened = False
        if self._capture.isOpened():
            opened, first = self._capture.read()
        if not opened:
            self.close()
            raise InputError("it gives no frames", file=self.name, expected="a camera or stream that is running",
                             hint="Check its number or address; a file is named by its path")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate: float | None = float(rate) if 0 < rate <= 1000 else None
        self._first: np.ndarray | None = first
        self.size: tuple[int, int] = first.shape[:2]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames until the source ends."""
        while True:
            if self._first is not None:
                frame, self._first = self._first, None
            else:
                more, frame = self._capture.read()
                if not more:
                    return
            yield np.ascontiguousarray(frame[..., ::-1])

    def close(self) -> None:
        """Give the camera or stream back."""
        self._capture.release()

    def __enter__(self) -> LiveFrames:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
