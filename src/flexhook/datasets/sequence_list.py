"""Lists of test sequences, the field's seqmaps: a line ``video+expression`` for each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flexhook.datasets.text_files import read_text
from flexhook.errors import InputError
from flexhook.structures import Expression
from flexhook.structures.slugs import slug

_LINE = "lines `video+expression`, such as 0005+cars-in-the-left"
_SEPARATORS = ("+", ",", "\t", "/", " ")  # by the first that a line has; names of expressions hold the later ones


@dataclass(frozen=True)
class SequenceList:
    """The sequences that count in a test.

    Attributes:
        file: Where they are listed.
        names: Slugs of the expressions by video, each with its line.
    """

    file: Path
    names: dict[str, dict[str, int]]

    def __len__(self) -> int:
        return sum(map(len, self.names.values()))

    def has(self, video: str, name: str) -> bool:
        """Whether the list names an expression of a video by its slug or its sentence."""
        return any(name in (form, slug(form)) for form in self.names.get(video, ()))

    def of_videos(self, videos: Sequence[str]) -> SequenceList:
        """The sequences of some videos."""
        return SequenceList(self.file, {video: names for video, names in self.names.items() if video in videos})

    def videos(self, known: Sequence[str]) -> list[str]:
        """Those of the known videos that the list names, in their order.

        Raises:
            InputError: It names one that is not known.
        """
        for video, names in self.names.items():
            if video not in known:
                self._refuse(f"there is no video {video!r}", video, known, next(iter(names.values())))
        return [video for video in known if video in self.names]

    def chosen(self, video: str, expressions: Sequence[Expression]) -> list[int]:
        """Indices of the listed ones among the expressions of a video, increasing.

        Raises:
            InputError: One that is listed is not among them.
        """
        known = [expression.slug for expression in expressions]
        wanted = {self._slug(video, name, line, known) for name, line in self.names[video].items()}
        return [k for k, name in enumerate(known) if name in wanted]

    def _slug(self, video: str, name: str, line: int, known: Sequence[str]) -> str:
        found = next((form for form in (name, slug(name)) if form in known), None)
        return found or self._refuse(f"video {video} has no expression {name!r}", name, known, line)

    def _refuse(self, problem: str, name: str, known: Sequence[str], line: int) -> str:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = "Correct or remove the line, or give the list of this dataset"
        raise InputError(f"{problem} in the data", file=self.file, line=line or None, expected=f"one of {len(known)} names",
                         hint=f"The nearest is {near[0]}. {hint}" if near else hint)


def read_sequence_list(path: str | Path) -> SequenceList:
    """Read a list of sequences.

    A line is ``video+expression``, the expression being the name of its file or its sentence; ``,``, a tab, ``/`` or a blank
    may stand for the first ``+``. Blank lines, lines that begin with ``#`` and a first line ``name`` (TrackEval's) are
    passed over.

    Raises:
        InputError: The file is missing or empty, or a line is no sequence or occurs twice.
    """
    path, names = Path(path), dict[str, dict[str, int]]()
    for number, line in enumerate((read_text(path) or "").split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#") or (number == 1 and line.lower() == "name"):
            continue
        mark = next((mark for mark in _SEPARATORS if mark in line), "")
        video, _, name = (part.strip() for part in line.partition(mark)) if mark else ("", "", "")
        if not (video and name):
            raise InputError(f"the line {line[:60]!r} names no sequence", file=path, line=number, expected=_LINE)
        name = re.sub(r"\.(json|txt)$", "", name)
        other = names.setdefault(video, {}).setdefault(name, number)
        if other != number:
            raise InputError(f"the sequence {line[:60]!r} is in line {other}, too", file=path, line=number,
                             expected="each sequence once")
    if not names:
        raise InputError("the file lists no sequence", file=path, expected=_LINE)
    return SequenceList(path, names)


def few(names: Iterable[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
