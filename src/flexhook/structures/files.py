"""Atomic writes: a file or folder is complete under its name, or absent."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from flexhook.errors import InputError

_TEMPORARY = re.compile(r"\..*\.(?P<host>[^.]+)\.(?P<pid>\d+)-\d+\.tmp", re.DOTALL)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MANY = 100  # files of a folder, above which one sync of all file systems is cheaper than one for each
_CHUNK = 1 << 20
_numbers = itertools.count()


@contextlib.contextmanager
def atomic_write(path: str | Path, *, sync: bool = True, hint: str | None = None) -> Iterator[Path]:
    """A temporary file to write to; it is renamed to ``path`` when the block ends without an error.

    The folder is made where it is missing. After an error or an interruption the temporary file is removed, and a file
    that had the name ``path`` before is unchanged. Temporary files of processes that were killed are removed from the
    folder.

    Args:
        path: Name of the finished file.
        sync: Wait until the content is on the disk, so that it survives a power failure; some milliseconds per file.
        hint: What the user can do when the file cannot be written; by default, to make room or to choose another folder.

    Yields:
        The temporary name, hidden (it starts with a dot) and with the suffix ``.tmp``.

    Raises:
        InputError: The file cannot be written: no space, no permission, a folder of that name.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        _remove_stale(path.parent)
        temporary.touch()
    except OSError as error:
        raise not_written(path, error, hint=hint) from None
    try:
        with _as_input_error(path, temporary, "file", hint):
            yield temporary
            if sync:
                _sync(temporary)
            os.replace(temporary, path)
            if sync:
                _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_link(path: str | Path, target: str) -> None:
    """Let the symbolic link ``path`` point to a folder, in place of a link that is there.

    Args:
        path: The link; its folder exists.
        target: The folder, absolute or relative to that of the link.

    Raises:
        InputError: The link cannot be made.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        _remove_stale(path.parent)
        temporary.symlink_to(target, target_is_directory=True)
        os.replace(temporary, path)
    except OSError as error:
        raise not_written(path, error, "link", "made") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON with :func:`atomic_write`; arguments and errors as there."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def require_inside(path: Path, base: Path) -> None:
    """See that a folder in which results are left by default is not a link that leads elsewhere.

    Args:
        path: The folder, which need not exist.
        base: The folder of input that it belongs to.

    Raises:
        InputError: It leads out of ``base``.
    """
    if not path.resolve().is_relative_to(base.resolve()):
        raise InputError("the folder is a link that leads elsewhere", file=path, expected=f"a folder inside {base}",
                         hint="Name a folder for the results with --out")


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a file for reading, unless it is a pipe or a device, from which reading may never end.

    Raises:
        OSError: It does not open, or is no regular file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return open(path, "rb")


def read_json(path: str | Path, *, expected: str = "a JSON object", hint: str | None = None) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: The file.
        expected: What the object holds, for the message.
        hint: What the user can do where the file is missing or broken.

    Raises:
        InputError: The file does not exist, does not read, or holds something else.
    """
    line = None
    try:
        with open_regular(path) as file:
            content = json.loads(file.read().decode("utf-8"))
    except FileNotFoundError:
        raise InputError("the file does not exist", file=path, expected=expected, hint=hint) from None
    except json.JSONDecodeError as error:
        problem, line = f"the file is not JSON ({error.msg})", error.lineno
    except (OSError, ValueError, RecursionError) as error:
        problem = f"the file does not read ({error})"
    else:
        if isinstance(content, dict):
            return content
        problem = "the file holds no JSON object"
    raise InputError(problem, file=path, line=line, expected=expected, hint=hint)


@contextlib.contextmanager
def atomic_folder(
    path: str | Path, *, replace: bool = False, sync: bool = True, hint: str | None = None
) -> Iterator[Path]:
    """A temporary folder to fill; it is renamed to ``path`` when the block ends without an error.

    Args:
        path: Name of the finished folder.
        replace: Replace a folder of that name. Otherwise a folder that another process has finished meanwhile is kept,
            and this one is removed.
        sync: Wait until the content is on the disk.
        hint: What the user can do when the folder cannot be written.

    Yields:
        The temporary folder, empty, beside ``path``.

    Raises:
        InputError: The folder cannot be made or written.
    """
    path = Path(path)
    work = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
    except OSError as error:
        raise not_written(path, error, "folder", "made", hint) from None
    replaced = temporary_name(path)
    try:
        with _as_input_error(path, work, "folder", hint):
            yield work
            if sync:
                _sync_tree(work)
            if replace and path.is_dir():
                os.replace(path, replaced)
            try:
                os.replace(work, path)
            except OSError:
                if not path.is_dir():
                    raise
            if sync:
                _sync(path.parent)
    finally:
        for folder in (work, replaced):
            shutil.rmtree(folder, ignore_errors=True)


def create_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """A new ``.npy`` file, mapped for writing, whose disk space is taken: filling it cannot end in a bus error.

    Raises:
        OSError: There is no room for it on the disk.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "r+b") as file:
        allocate(file.fileno(), array.offset + array.nbytes)
    return array


def allocate(descriptor: int, size: int) -> None:
    """Take disk space for the first ``size`` bytes of an open file, which are zeros or unchanged afterwards.

    Raises:
        OSError: There is no room on the disk.
    """
    if size == 0:
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:  # no such call on this system, or not on this file system
        if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        for start in range(0, size, _CHUNK):
            count = min(_CHUNK, size - start)
            os.pwrite(descriptor, os.pread(descriptor, count, start).ljust(count, b"\0"), start)


def not_written(
    path: Path, error: OSError, what: str = "file", done: str = "written", hint: str | None = None
) -> InputError:
    """The message for a file or folder that cannot be written."""
    expected = f"a {what} that can be written"
    if error.errno in _FULL:
        expected = "room for it on the disk"
        with contextlib.suppress(OSError):
            expected += f", where {shutil.disk_usage(_existing(path)).free / 1e6:,.0f} MB are free"
        hint = hint or "Make room, or choose another output folder, and run the command again"
    return InputError(f"the {what} cannot be {done} ({error.strerror or error})", file=path, expected=expected,
                      hint=hint or "Choose another output folder, or change its permissions")


def temporary_name(path: Path) -> Path:
    """A new hidden name beside ``path``, with this host and process in it, short enough for a file system."""
    stem = path.name.encode()[:180].decode(errors="ignore")
    return path.with_name(f".{stem}.{_host()}.{os.getpid()}-{next(_numbers)}.tmp")


@contextlib.contextmanager
def _as_input_error(path: Path, temporary: Path, what: str, hint: str | None) -> Iterator[None]:
    """Turn an OSError about the temporary file into one message; one about another file is passed on."""
    try:
        yield
    except OSError as error:
        about = error.filename if isinstance(error.filename, str) else os.fspath(error.filename or temporary)
        if not str(about).startswith(str(temporary)) or isinstance(error, ConnectionError):
            raise
        raise not_written(path, error, what, hint=hint) from error


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


@cache
def _host() -> str:
    """The machine, and on Linux the set of process numbers: containers of one machine have their own."""
    try:
        processes = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        processes = "0"
    return f"{platform.node().replace('.', '_')[:30]}-{processes}"


@cache
def _remove_stale(folder: Path) -> None:
    """Remove what killed processes of this host left in a folder; once per process and folder."""
    for entry in os.scandir(folder):
        found = _TEMPORARY.fullmatch(entry.name)
        if found and found["host"] == _host() and not _alive(int(found["pid"])):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that does not sync folders
            raise
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    places = [Path(root) / name for root, _, files in os.walk(folder) for name in (*files, "")]
    if len(places) > _MANY:
        os.sync()
        return
    for place in places:
        _sync(place)
