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
def hub() -> Iterator[None]:
    """Within this context files come from the hub, or, where it does not answer, from the local cache alone.

    The libraries' own retries take a minute per file; ``HF_HUB_OFFLINE=1`` skips even the probe.
    """
    if constants.HF_HUB_OFFLINE or reachable(constants.ENDPOINT):
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
    try:
        with hub():
            return Path(hf_hub_download(repository, file))
    except Exception as error:
        raise InputError(
            f"the weights '{repository}' cannot be had ({first_line(error)})",
            expected="a name on the hub, and the hub in reach or the file in its cache",
            hint=f"Fetch {file} from {address(repository)} on another machine, put it anywhere here and set "
            f"{part}.weights=FILE; or set {part}.pretrained=null for random weights",
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of what a library says, for the middle of a message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
