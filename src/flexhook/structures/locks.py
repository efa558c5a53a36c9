"""A lock among the processes of a machine, held on a file that is gone when nobody holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_SUFFIX = ".lock"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder that several processes would make at once; wait while another holds it.

    The lock of a killed process is free, and its file is removed by the next one that takes a lock in that folder. On a file
    system without locks nothing is held.

    Args:
        path: What is made; its folder is made where it is missing.

    Raises:
        OSError: The file of the lock cannot be made.
    """
    lock = path.with_name(f".{path.name}{_SUFFIX}")
    lock.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(lock.parent)
    descriptor = _take(lock, wait=True)
    try:
        yield
    finally:
        if descriptor is not None:
            lock.unlink(missing_ok=True)
            os.close(descriptor)


def _take(lock: Path, wait: bool) -> int | None:
    """An open and locked file of that name; None where it is not had."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return descriptor
        except FileNotFoundError:
            pass
        except OSError:  # another holds it, or the file system has no locks
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the one before removed it meanwhile


@cache
def _remove_stale(folder: Path) -> None:
    """Remove what killed processes left; once per process and folder."""
    for lock in folder.glob(f".*{_SUFFIX}"):
        with suppress(OSError):
            descriptor = _take(lock, wait=False)
            if descriptor is not None:
                lock.unlink(missing_ok=True)
                os.close(descriptor)
