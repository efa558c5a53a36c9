"""What people have at hand as what the program computes with: videos, sentences, tracks, detections."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flexhook.errors import ConfigError, InputError
from flexhook.structures import Expression, Frames, TrackSet, Video, make_labels
from flexhook.structures.digests import Digest
from flexhook.structures.slugs import unique_slugs
from flexhook.trackers.given import GivenTracks
from flexhook.trackers.mot_files import TrackerFiles

if TYPE_CHECKING:
    import supervision as sv

    from flexhook.structures.protocols import Tracker


class ArrayFrames(Frames):
    """Frames in memory.

    Args:
        images: (height, width, 3) uint8 RGB arrays of one size.

    Raises:
        InputError: There are none, or one is no such array.
    """

    def __init__(self, images: Sequence[np.ndarray] | np.ndarray) -> None:
        if not len(images):
            raise InputError("the video has no frames", expected="arrays (height, width, 3) of uint8, RGB")
        for k, image in enumerate(images):
            check_frame(image, f"frame {k}")
            if image.shape != images[0].shape:
                raise InputError(f"frame {k} is {image.shape[0]}x{image.shape[1]} (height x width)",
                                 expected=f"{images[0].shape[0]}x{images[0].shape[1]} as frame 0")
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index``, 0-based."""
        return self.images[index]

    def digest(self) -> str:
        """A digest of all frames: their names do not tell videos apart."""
        found = Digest()
        for image in self.images:
            found.add(np.ascontiguousarray(image))
        return found.hex()


def check_frame(frame: Any, name: str) -> None:
    """Refuse what is no picture.

    Raises:
        InputError: It is no (height, width, 3) array of uint8.
    """
    if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        found = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise InputError(f"{name} is {found}", expected="an array (height, width, 3) of uint8, RGB",
                         hint="OpenCV reads BGR: give frame[..., ::-1]")


def check_sentences(sentences: Sequence[str] | str) -> list[str]:
    """The sentences as a list of texts without white space around them.

    Raises:
        ConfigError: There are none, one is empty, or one is there twice.
    """
    listed = [sentences] if isinstance(sentences, str) else list(sentences)
    if not listed or any(not isinstance(s, str) or not s.strip() for s in listed):
        raise ConfigError(f"sentences is {listed!r}", expected="a list of sentences, none empty",
                          hint="""Write 'sentences=["cars turning left"]'""")
    stripped = [s.strip() for s in listed]
    twice = [s for k, s in enumerate(stripped) if s in stripped[:k]]
    if twice:
        raise ConfigError(f"the sentence “{twice[0]}” is given twice", expected="each sentence once")
    return stripped


def open_video(
    video: str | Path | Video | Frames | Sequence[np.ndarray] | np.ndarray,
    sentences: Sequence[str],
    frame_size: Sequence[int] | None = None,
) -> Video:
    """A video with sentences and without truth.

    Args:
        video: A video file, a folder of images, frames in memory, or what reads frames.
        sentences: Checked sentences.
        frame_size: (height, width) in pixels of the frame that boxes refer to; by default the frames' own.

    Raises:
        InputError: There is no video, or it does not decode.
    """
    name, source = "video", video
    if isinstance(video, Video):
        name, source, frame_size = video.name, video.frames, frame_size or video.size
    elif isinstance(video, str | Path):
        from flexhook.media.video_files import open_frames

        path = Path(video).expanduser()
        name, source = path.stem if path.is_file() else path.name, open_frames(path)
    elif isinstance(video, np.ndarray | Sequence) and not isinstance(video, str):
        source = ArrayFrames(video)
    elif not isinstance(video, Frames):
        raise InputError(f"video is {type(video).__name__}", expected="a file, a folder, arrays (height, width, 3) of uint8, or"
                         " a subclass of flexhook.structures.Frames")
    frames: Any = source
    size = tuple(frame_size or frames.read(0).shape[:2])
    if len(size) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in size):
        raise ConfigError(f"frame_size is {frame_size!r}", expected="(height, width) in pixels")
    height, width = size
    expressions = [Expression(text, slug) for text, slug in zip(sentences, unique_slugs(sentences), strict=True)]
    return Video(name, (int(height), int(width)), frames, TrackSet.empty(), tuple(expressions),
                 make_labels([], [], (0, len(expressions))))


def find_tracks(
    video: Video,
    tracks: str | Path | TrackSet | Sequence[sv.Detections] | None,
    tracker: Tracker | None,
    first_frame: int = 1,
) -> TrackSet:
    """The tracks of a video, whatever they come as.

    Args:
        video: The video.
        tracks: A MOT file, a set, or tracked detections per frame.
        tracker: Makes tracks, where there are none.
        first_frame: Number that a MOT file gives to the first frame.

    Raises:
        ConfigError: There are both, or neither.
        InputError: The tracks are malformed, or not this video's.
    """
    if (tracks is None) == (tracker is None):
        what = "neither tracks nor a tracker" if tracks is None else "tracks and a tracker"
        raise ConfigError(f"predict got {what}", expected="one of the two",
                          hint="Give tracks=FILE, a TrackSet or supervision Detections per frame, or tracker=")
    if tracker is not None:
        return tracker.track(video)
    source = "tracks"
    if isinstance(tracks, str | Path):
        source = str(tracks)
        found = TrackerFiles(tracks, layout="single", first_frame=first_frame).track(video)
    elif isinstance(tracks, TrackSet):
        found = tracks
    else:
        assert tracks is not None
        found = tracks_of_detections(tracks, video.num_frames)
    if len(found) and (found.frame.min() < 0 or found.frame.max() >= video.num_frames):
        raise InputError(f"the tracks have frames {found.frame.min()} to {found.frame.max()}", file=source,
                         expected=f"0 to {video.num_frames - 1}, the frames of the video")
    bad = ~np.isfinite(found.box).all(1) | ~(found.box[:, 2:] > found.box[:, :2]).all(1)
    if bad.any():
        raise InputError(f"the box {found.box[bad][0].tolist()} in frame {found.frame[bad][0]} has no area", file=source,
                         expected="finite x1, y1, x2, y2 with x1 < x2 and y1 < y2")
    if not len(found):
        warnings.warn(f"{source} has no tracks, and the results will be empty", stacklevel=3)
    check_tracks(found, video, source)
    return found


def check_tracks(tracks: TrackSet, video: Video, source: str) -> None:
    """Refuse tracks that cannot be this video's.

    Raises:
        InputError: Most boxes lie outside of the frame.
    """
    if not len(tracks):
        return
    height, width = video.size
    outside = (tracks.box[:, 0] >= width) | (tracks.box[:, 1] >= height) | (tracks.box[:, 2:] <= 0).any(1)
    if outside.mean() > 0.5:
        raise InputError(f"{outside.sum()} of {len(tracks)} boxes lie outside of the {width}x{height} frame",
                         file=source, expected="pixels of the original frame",
                         hint="Set frame_size=[height,width] of the frames that the tracks refer to")


def tracks_of_detections(frames: Sequence[sv.Detections], count: int) -> TrackSet:
    """Tracked detections per frame as one set.

    Args:
        frames: One ``supervision.Detections`` per frame, with ``tracker_id``; those with identity -1 (not confirmed yet) are
            left out.
        count: Frames of the video.

    Raises:
        InputError: There is not one per frame, or one is malformed.
    """
    if len(frames) != count:
        raise InputError(f"{len(frames)} detections are given for {count} frames", expected="one Detections per frame")
    tracks = [frame_tracks(detections, k)[0] for k, detections in enumerate(frames)]
    columns: dict[str, Any] = {name: np.concatenate([getattr(t, name) for t in tracks])
                               for name in ("frame", "identity", "box", "category", "confidence")}
    return TrackSet.build(**columns)


def frame_tracks(detections: Any, frame: int, identities: Any = None) -> tuple[TrackSet, np.ndarray]:
    """The tracks of one frame.

    Args:
        detections: ``supervision.Detections`` with ``tracker_id``, or (n, 4) boxes (x1, y1, x2, y2) in pixels.
        frame: Its index.
        identities: (n,) whole numbers where ``detections`` are boxes. Rows with -1 (not confirmed yet) are left out.

    Returns:
        The set, and for each of its rows the row it comes from, (m,) int64.

    Raises:
        InputError: There are no identities, one is there twice, or a box is not finite or has no area.
    """
    confidence = category = None
    if hasattr(detections, "xyxy"):
        if identities is not None:
            raise InputError("identities are given beside supervision Detections", expected="tracker_id in them alone")
        boxes, identities = detections.xyxy, detections.tracker_id
        confidence, category = detections.confidence, detections.class_id
    else:
        boxes = detections
    boxes = np.asarray(boxes if len(boxes) else np.zeros((0, 4)), np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"the boxes of frame {frame} have shape {boxes.shape}", expected="(n, 4): x1, y1, x2, y2 in pixels")
    if identities is None:
        if len(boxes):
            raise InputError(f"the detections of frame {frame} have no identities", expected="tracker_id, from a tracker",
                             hint="Run a tracker before, for example trackers.ByteTrackTracker().update(detections)")
        identities = []
    given = np.asarray(identities if len(identities) else np.zeros(0, np.int64))
    if given.shape != (len(boxes),) or not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"the identities of frame {frame} are {given.dtype} of shape {given.shape}",
                         expected=f"a whole number for each of the {len(boxes)} boxes")
    rows = np.flatnonzero(given >= 0)
    rows = rows[np.argsort(given[rows], kind="stable")]
    wrong = ~np.isfinite(boxes[rows]).all(1) | ~(boxes[rows, 2:] > boxes[rows, :2]).all(1)
    if wrong.any():
        raise InputError(f"a box of frame {frame} is {boxes[rows[wrong][0]].tolist()}",
                         expected="finite x1, y1, x2, y2 with x1 < x2 and y1 < y2")
    same = np.flatnonzero(np.diff(given[rows]) == 0)
    if len(same):
        raise InputError(f"identity {given[rows[same[0]]]} occurs twice in frame {frame}", expected="each identity once")
    return TrackSet.build(
        np.full(len(rows), frame), given[rows], boxes[rows],
        None if category is None else np.asarray(category)[rows], None if confidence is None else np.asarray(confidence)[rows],
    ), rows  # fmt: skip


def as_tracker(tracks: TrackSet) -> Tracker:
    """Tracks as a tracker."""
    return GivenTracks(tracks)
