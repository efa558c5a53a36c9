"""A run folder belongs to one process at a time, which leaves a file there for as long as it works."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flexhook.errors import ConfigError

RUNNING = ".running"
#: Why a run of a sweep failed; in the folder of a finished run, why an attempt with another configuration was refused.
FAILED = "failed.txt"


@contextmanager
def running(folder: Path, patience: float = 10.0) -> Iterator[None]:
    """Hold a run folder; of a process that is killed the file remains, but holds the folder no longer.

    Args:
        folder: The run folder, made where it is missing.
        patience: Seconds to wait for another process: the workers of one that was killed end a little later.

    Raises:
        ConfigError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, begin = folder / RUNNING, time.monotonic()
    while True:
        file = open(path, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip()
            file.close()
            if time.monotonic() - begin > patience:
                raise ConfigError(f"process {other} is training into this folder", file=folder,
                                  expected="one process per run", hint="Let it finish, or choose another folder") from None
            time.sleep(0.2)
            continue
        except OSError:  # a file system without locks
            break
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break  # otherwise the one before removed it meanwhile
        file.close()
    with file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def fallen(folder: Path, patience: float = 10.0) -> bool:
    """Whether a process was at work in a run folder when it was killed: its file is there, and nobody holds the folder.

    Args:
        folder: The run folder.
        patience: Seconds to wait for the workers of one that was killed.
    """
    begin = time.monotonic()
    while (folder / RUNNING).is_file():
        try:
            with open(folder / RUNNING) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except FileNotFoundError:  # it has just ended as it should
            return False
        except BlockingIOError:
            if time.monotonic() - begin > patience:
                return False
            time.sleep(0.2)
        except OSError:  # a file system without locks: then it is not known
            return False
    return False
