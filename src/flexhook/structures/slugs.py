"""File names of expressions, called slugs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from flexhook.structures.digests import digest

_LONGEST_NAME = 200


def slug(sentence: str) -> str:
    """The field's file name of a sentence (no suffix): white space becomes hyphens, the rest stays as it is.

    Case and punctuation are kept ("in-silver,-cars-were-parked"), as in the published sequence lists. Path separators
    become hyphens too, and a name over 200 bytes is cut and marked with a digest, so that any sentence can name a file.
    """
    name = re.sub(r"[\s/\\\0]+", "-", sentence.strip())
    if name.startswith("."):
        name = "-" + name[1:]
    if len(name.encode()) > _LONGEST_NAME:
        name = name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + "-" + digest(name, length=8)
    return name


def unique_slugs(sentences: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """A slug per sentence; no two name one file, also not on a disk that ignores case.

    The first sentence with a slug keeps it, the others get ``-2``, ``-3``, ... in the order given, past every name that is
    another sentence's own slug.

    Args:
        sentences: The sentences.
        taken: Names that are given away already.
    """
    wanted = [slug(sentence) for sentence in sentences]
    used = {_on_disk(name) for name in taken}
    own: set[int] = set()
    for k, name in enumerate(wanted):
        if _on_disk(name) not in used:
            used.add(_on_disk(name))
            own.add(k)
    out: list[str] = []
    for k, name in enumerate(wanted):
        count = 1
        made = name
        while k not in own and _on_disk(made) in used:
            count += 1
            made = f"{name}-{count}"
        used.add(_on_disk(made))
        out.append(made)
    return out


def is_file_name(name: str) -> bool:
    """Whether a name from a file can name a file in a folder, and nothing outside of it."""
    surrogates = any("\ud800" <= character <= "\udfff" for character in name)  # halves of pairs, which no disk takes
    return name not in ("", ".", "..") and not set("/\\\0").intersection(name) and not surrogates


def stays_inside(path: str) -> bool:
    """Whether a relative path from a file, such as the name of a video, stays inside the folder that it is relative to."""
    return all(is_file_name(part) for part in path.split("/"))


def _on_disk(name: str) -> str:
    """What a disk compares that ignores case and the composition of characters."""
    return unicodedata.normalize("NFC", name).casefold()
