"""Reaching the Hugging Face hub without hanging where there is none."""

from __future__ import annotations

import functools
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from huggingface_hub import constants, hf_hub_download

from flexhook.errors import InputError

PROBE_SECONDS = 5.0


@functools.cache
def reachable(endpoint: str = constants.ENDPOINT) -> bool:
    """Whether anything answers at the hub's address within :data:`PROBE_SECONDS`; asked once per process."""
    request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "flexhook"})
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


@contextmanager
def hub(needed: bool = True) -> Iterator[None]:
    """Within this context files come from the hub, or, where it does not answer, from the local cache alone.

    The libraries' own retries take a minute per file; ``HF_HUB_OFFLINE=1`` skips even the probe.

    Args:
        needed: False where everything is known to be local: then nothing is asked of the network at all.
    """
    if needed and (constants.HF_HUB_OFFLINE or reachable(constants.ENDPOINT)):
        yield
    else:
        with mock.patch.object(constants, "HF_HUB_OFFLINE", True):
            yield


def address(repository: str) -> str:
    """The page from which a repository's files can be fetched by hand."""
    return f"{constants.ENDPOINT}/{repository}"


def fetch(repository: str, file: str, part: str) -> Path:
    """A file of a repository on the hub, downloaded or from the cache.

    Args:
        repository: ``owner/name``.
        file: The file's name there.
        part: Group of the configuration to name in the hint, ``visual`` or ``text``.

    Raises:
        InputError: It cannot be had.
    """
    if "/" not in repository:
        raise InputError(
            f"{part}.pretrained is {repository}",
            expected="a name on the hub (owner/name), or false for random weights",
            hint=f"A local file goes into {part}.weights",
        )
    try:
        with hub():
            return Path(hf_hub_download(repository, file))
    except Exception as error:
        raise InputError(
            f"the weights '{repository}' cannot be had ({first_line(error)})",
            expected="a name on the hub, and the hub in reach or the file in its cache",
            hint=f"Fetch {file} from {address(repository)} on another machine, put it anywhere here and set "
            f"{part}.weights=FILE; or set {part}.pretrained=false for random weights",
        ) from error


def local_or_hub(name: str, option: str) -> str:
    """A folder's path with its ``~`` expanded, or a name on the hub as it is.

    Args:
        name: What the user gave.
        option: The option it was given for, for the message.

    Raises:
        InputError: It can only be a folder, and there is none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError("the folder does not exist", file=path, expected=f"a folder or a name on the hub for {option}")
    return name


def first_line(error: BaseException) -> str:
    """What a library says, short enough for the middle of a message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text if len(text) <= 200 else text[:200] + "..."
