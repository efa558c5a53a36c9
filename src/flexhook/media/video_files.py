"""Frames from a video file, and video files from frames."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

from flexhook.errors import InputError
from flexhook.media.image_folder import open_image_folder
from flexhook.structures.files import atomic_write
from flexhook.structures.video import Frames

log = logging.getLogger(__name__)

BT709 = 1  # number of ITU-T BT.709 in H.273, for matrix, primaries and transfer alike
LIMITED_RANGE = 1
FRAMES_TO_CHECK = 20  # H.264 and H.265 hold back at most 16 pictures to reorder them


def open_frames(path: str | Path) -> Frames:
    """The frames of a video file or of a folder of images.

    Args:
        path: A video file (mp4, avi, mkv, ...), or a folder of images as :func:`~flexhook.media.image_folder.open_image_folder`
            takes it.

    Raises:
        InputError: Nothing is there, the folder holds no image or two images of one name, or the file is not a video.
    """
    path = Path(path)
    if not path.is_dir():
        return VideoFileFrames(path)
    return open_image_folder(path)


class VideoFileFrames(Frames):
    """The frames of a video file by index, each exactly the one that playing it from the start shows there.

    Reading one frame after the other decodes each once. Reading elsewhere seeks to the keyframe before it; going back
    in a file without timestamps decodes from the start. Can be pickled and used after a fork: each process opens the
    file itself.

    Args:
        path: The video file; its first video stream is used. A rotation that the file asks for is applied.

    Attributes:
        path: The file as it was given.
        frame_rate: Mean number of frames per second, or None where the file does not say.
        sequential: True: to be read by one thread at a time, best in order.

    Raises:
        InputError: The file is missing or empty, is not a video, or holds no frame that decodes.
    """

    sequential = True
    path: str

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._process, self._unit = -1, Fraction(1)
        self._frames: Iterator[av.VideoFrame] | None = None
        self._next = 0
        self._last: tuple[int, np.ndarray] | None = None
        with self._errors("the file is not a video that decodes"):
            self._times, self._keyframes = self._index()
            self._length = self._count() if self._times is None else len(self._times)
        self._place: dict[int | None, int] = {time: index for index, time in enumerate(self._times or ())}
        if not self._length:
            raise InputError("the video holds no frame that decodes", file=self.path, expected="a playable video file")

    def __len__(self) -> int:
        return self._length

    def name(self, index: int) -> str:
        """The file and the frame, for messages."""
        return f"{self.path} (frame {index})"

    def seconds(self, index: int) -> float | None:
        """When frame ``index`` is shown, by the file's timestamps where it has them: its frame rate may vary."""
        if self._times is None:
            return super().seconds(index)
        return float((self._times[index] - self._times[0]) * self._unit)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` (0-based) as (height, width, 3) uint8 RGB.

        Raises:
            IndexError: ``index`` is negative or not below the number of frames.
            InputError: The frame does not decode, or the file has gone.
        """
        if not 0 <= index < self._length:
            raise IndexError(f"frame {index} of {self._length}")
        if self._last is None or self._last[0] != index or self._process != os.getpid():
            with self._errors(f"the video does not decode at frame {index}"):
                self._last = index, self._decode(index)
        return self._last[1].copy()

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_frames": None, "_process": -1, "_last": None}

    def _open(self) -> av.container.InputContainer:
        """Open the file at its start, in this process."""
        if not Path(self.path).is_file():
            raise InputError(
                "no such file or folder",
                file=self.path,
                expected="a video file or a folder of images",
                hint="Check the path",
            )
        container = av.open(self.path, metadata_errors="replace")  # what a file says of itself may be in any encoding
        # FFmpeg reads text as the output of a terminal and renders it.
        if not container.streams.video or container.format.name == "tty":
            container.close()
            raise InputError("the file holds no video", file=self.path, expected="a video file or a folder of images")
        if container.streams.video[0].codec_context is None:
            container.close()
            raise InputError("the video is of a codec that FFmpeg does not know, or its header is damaged", file=self.path,
                             expected="a video that players show", hint="Convert it, for example to H.264")
        # A forked process has none of its parent's threads, but to free a decoder is to wait for them.
        container.streams.video[0].codec_context.thread_count = 1
        return container

    def _index(self) -> tuple[list[int] | None, list[int]]:
        """Timestamps of all frames in order and of the keyframes among them, from the packets with little decoding.

        None instead of timestamps where packets lack them, share them or, as in avi files with B-frames, have others
        than the pictures: then frames are only known by counting.
        """
        with self._open() as container:
            stream = container.streams.video[0]
            self.frame_rate = float(stream.average_rate) if stream.average_rate else None
            self._unit = stream.time_base or Fraction(1)
            every = [(p.pts, p.is_keyframe, p.is_discard) for p in container.demux(stream) if p.size]
            packets = [(pts, is_keyframe) for pts, is_keyframe, is_discard in every if not is_discard]
            if stream.frames - len(every) > max(1, 0.01 * stream.frames):  # some formats count one that is not there
                log.warning("%s: the file says that it has %d frames, and %d are there: it may be truncated", self.path,
                            stream.frames, len(every))
        times = sorted(pts for pts, _ in packets if pts is not None)
        if len(times) < len(packets) or len(set(times)) < len(times):
            return None, []
        head: list[int | None] = []
        with self._open() as container:
            try:
                for frame in itertools.islice(container.decode(container.streams.video[0]), FRAMES_TO_CHECK):
                    head.append(frame.pts)
            except av.error.FFmpegError:
                if not head:
                    raise
        if not head:
            return [], []
        # The first pictures of a cut file may lean on pictures that it does not hold; no player shows them.
        times = times[bisect_left(times, head[0]) :] if head[0] is not None else []
        if head != times[: len(head)]:
            return None, []
        return times, sorted(pts for pts, key in packets if key and pts is not None and pts >= times[0])

    def _count(self) -> int:
        """Number of frames, by decoding them all."""
        with self._open() as container:
            return sum(1 for _ in container.decode(container.streams.video[0]))

    def _decode(self, index: int) -> np.ndarray:
        """Decode up to frame ``index``, from where the last call stopped where that is the shortest way."""
        if self._frames is None or self._process != os.getpid() or index < self._next or self._keyframe_between(index):
            self._frames = self._start_before(index)
            self._process = os.getpid()
        frames, self._frames = self._frames, None  # given back when all went well
        for frame in frames:
            at = self._next if self._times is None else self._place.get(frame.pts, -1)
            if at < 0:
                continue
            self._next = at + 1
            if at == index:
                self._frames = frames
                picture = VideoReformatter().reformat(frame, format="rgb24").to_ndarray()
                return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
            if at > index:
                break
        raise InputError(
            f"frame {index} of {self._length} is damaged or cut off",
            file=self.path,
            expected="a video that decodes to its end",
            hint="Copy the file again from its source, or convert it",
        )

    def _keyframe_between(self, index: int) -> bool:
        """Whether a keyframe lies after the next frame and not after ``index``: a jump is shorter than going on."""
        if self._times is None:
            return False
        here, there = (bisect_right(self._keyframes, self._times[k]) for k in (self._next, index))
        return there > here

    def _start_before(self, index: int) -> Iterator[av.VideoFrame]:
        """Frames of a newly opened file from the last keyframe that is not after frame ``index``, or from its start."""
        self._next = 0
        container = self._open()
        stream = container.streams.video[0]
        keyframe = bisect_right(self._keyframes, self._times[index]) - 1 if self._times is not None else 0
        if self._times is None or keyframe <= 0:
            return container.decode(stream)
        container.seek(self._keyframes[keyframe], stream=stream)
        frames = container.decode(stream)
        first = next(frames, None)
        if first is None or first.pts is None or first.pts > self._times[index]:  # some formats land too late
            container = self._open()
            return container.decode(container.streams.video[0])
        return itertools.chain([first], frames)

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn FFmpeg's and the system's errors into one message."""
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(
                f"{what} ({error.strerror})",
                file=self.path,
                expected="a video file (mp4, avi, mkv, ...) or a folder of images",
                hint="Copy the file again from its source, or convert it",
            ) from None


class VideoWriter:
    """Writes frames to an mp4 file (H.264 where FFmpeg has it, else MPEG-4) that players and browsers show.

    A context manager: the file appears under its name when the block ends without an error, and not at all otherwise.

    Args:
        path: The mp4 file.
        frame_rate: Frames per second, 0.1 to 1000; a larger value plays faster.
        quality: Constant rate factor of H.264, 0 to 51; a larger value gives a smaller and coarser file.

    Raises:
        InputError: The frame rate is out of its range, or (on entering) the file cannot be written.
    """

    def __init__(self, path: str | Path, *, frame_rate: float = 10.0, quality: int = 20) -> None:
        if not 0.1 <= frame_rate <= 1000:
            raise InputError(f"the frame rate is {frame_rate:g}", expected="a number from 0.1 to 1000")
        self.path = Path(path)
        self.frame_rate, self.quality = frame_rate, quality
        self._stack = contextlib.ExitStack()
        self._stream: av.VideoStream | None = None
        self._shape: tuple[int, ...] = ()

    def __enter__(self) -> VideoWriter:
        self._stack.__enter__()
        temporary = self._stack.enter_context(atomic_write(self.path))
        self._container = self._stack.enter_context(
            av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"})
        )
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, (height, width, 3) uint8 RGB; odd sizes grow by repeating the last row or column.

        Raises:
            ValueError: The frame's shape differs from the first frame's.
        """
        if self._stream is None:
            self._shape, self._stream = frame.shape, self._add_stream(frame.shape)
        if frame.shape != self._shape:
            raise ValueError(f"a frame of shape {self._shape} expected, {frame.shape} found")
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        self._container.mux(self._stream.encode(picture))

    def _add_stream(self, shape: tuple[int, ...]) -> av.VideoStream:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = cast(
            av.VideoStream, self._container.add_stream(codec, rate=Fraction(self.frame_rate).limit_denominator(1001))
        )
        stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        if codec == "libx264":
            stream.options = {"crf": str(self.quality), "preset": "veryfast"}
        else:
            stream.bit_rate = 4_000_000
        return stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._stream is None:
                    raise ValueError(f"no frame was written to {self.path}")
                self._container.mux(self._stream.encode())
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)
