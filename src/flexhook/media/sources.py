"""What ``video=`` may name: files, folders, lists of them, cameras and network streams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flexhook.errors import InputError
from flexhook.media.cameras import is_live
from flexhook.media.image_folder import has_images

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".ts", ".wmv")


def video_sources(given: object) -> list[Path]:
    """The videos that a value names, in order.

    Args:
        given: A video file, a folder of images (one video), a folder of video files (one each, by name), or a list of these.

    Raises:
        InputError: It names nothing, a folder without images and videos, or a camera or stream beside others.
    """
    listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    found: list[Path] = []
    for one in listed:
        if is_live(one):
            raise InputError(f"{one} is a camera or a stream", expected="video files and folders",
                             hint="Name a camera or stream alone, or a file whose name is a number as ./7")
        path = Path(str(one)).expanduser()
        files = _video_files(path) if path.is_dir() else []
        found += files or [path]
    if not found:
        raise InputError("video names nothing", expected="video=FILE, FOLDER, CAMERA or rtsp://...")
    return found


def _video_files(folder: Path) -> list[Path]:
    """The video files of a folder; none in one that holds images.

    Raises:
        InputError: It holds both.
    """
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    if videos and has_images(folder):
        raise InputError(f"the folder holds videos, such as {videos[0].name}, and images", file=folder, expected="one kind",
                         hint="Name the videos themselves: video=[a.mp4,b.mp4]; or move the images away")
    return videos
