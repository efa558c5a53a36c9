"""Files that are either whole or not there: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from flexhook.errors import InputError


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary name to write a file under; it takes the name ``path`` when the block ends without an error.

    The folder is made where it is missing. After an error or an interruption the temporary file is removed and a
    file that ``path`` named before is still there.

    Args:
        path: The name that the finished file gets.

    Yields:
        The temporary name, hidden (it starts with a dot) and with the suffix ``.tmp``.

    Raises:
        InputError: The folder cannot be made or written to.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        temporary.touch()
    except OSError as error:
        raise InputError(
            f"the file cannot be written ({error.strerror})", file=path, expected="a folder to write results to",
            hint="Choose another output folder",
        ) from None
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder to fill; it takes the name ``path`` when the block ends without an error.

    Where another process was faster with the same folder, its folder stays and this one is dropped.

    Args:
        path: The name that the finished folder gets; it must not exist yet.

    Yields:
        The temporary folder, empty, beside ``path``.
    """
    path = Path(path)
    work = _temporary_name(path)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
        try:
            os.replace(work, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _temporary_name(path: Path) -> Path:
    """A hidden name beside ``path`` that belongs to this process and is short enough for a file system."""
    stem = path.name.encode()[:200].decode(errors="ignore")
    return path.with_name(f".{stem}.{os.getpid()}.tmp")
