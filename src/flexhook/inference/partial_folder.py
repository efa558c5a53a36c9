"""The hidden folder in which a file of results grows until it is whole: of one job, and of one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from flexhook.errors import InputError
from flexhook.structures.files import atomic_write, not_written

AGAIN = "Make room on the disk and run the command again: it goes on where it was"


class PartialFolder:
    """The hidden folder beside a file to be. Nothing is made or locked before :meth:`lock`.

    Args:
        file: The file to be.
        video: Name of the video whose results it will hold, for messages.

    Attributes:
        path: The folder.
    """

    def __init__(self, file: Path, video: str) -> None:
        self.path, self.video, self.base = file.with_name(f".{file.stem}.partial"), video, file.parent
        self._lock: IO[bytes] | None = None

    def lock(self) -> None:
        """Make the folder and lock it until :meth:`close`, or until the process ends, however it ends.

        Raises:
            InputError: Another process holds it.
            OSError: It cannot be made.
        """
        path = self.path / "lock"
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                file = open(path, "ab")
            except FileNotFoundError:  # its holder finished and removed it just now
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise InputError(f"another process is writing the scores of video {self.video}", file=self.base,
                                 expected="one process at a time",
                                 hint="Wait for it, or choose another output folder") from None
            except OSError:  # a file system without locks
                self._lock = file
                return
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    self._lock = file
                    return
            file.close()  # its holder finished and removed it

    def holds(self, job: str) -> bool:
        """Whether what lies in the folder is of a job."""
        path = self.path / "job"
        return path.is_file() and path.read_bytes() == job.encode()

    def clear(self) -> None:
        """Throw away what another job left in the locked folder.

        Raises:
            OSError: Something cannot be removed.
        """
        (self.path / "job").unlink(missing_ok=True)  # first: what is half removed is of no job
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink(missing_ok=True)

    def sign(self, job: str) -> None:
        """Say whose job lies in the folder; last, when all that a job begins with is there."""
        with atomic_write(self.path / "job", hint=AGAIN) as temporary:
            temporary.write_text(job)

    def remove(self) -> None:
        """Remove the locked folder and let go of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def discard(self) -> None:
        """Remove what an earlier process left, where its file is whole by now; not while another process is at it."""
        if self.path.is_dir():
            with contextlib.suppress(InputError, OSError):
                self.lock()
                shutil.rmtree(self.path, ignore_errors=True)
            self.close()

    def close(self) -> None:
        """Let go of the folder; what is in it stays for a later process."""
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def not_written(self, error: OSError, hint: str | None = AGAIN) -> InputError:
        """The message for a folder that cannot be written to."""
        return not_written(self.path, error, "folder of scores", hint=hint)
