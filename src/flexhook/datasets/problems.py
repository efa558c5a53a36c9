"""What can be wrong with a dataset's files: kinds, how bad each is, and where the finding goes.

Every parser of this room tells a *report* what it finds and goes on with the rest of the file if the report returns.
Reading uses :func:`strict`, which raises whatever would make results wrong; the data check passes a collector, so that
both judge a file by the same code.
"""

from __future__ import annotations

import logging
from typing import Protocol

from flexhook.errors import InputError

log = logging.getLogger(__name__)

#: Severity of each kind: an "error" makes results wrong, a "warning" may, a "note" is worth knowing.
SEVERITY: dict[str, str] = {
    "missing-video": "error",
    "missing-folder": "error",
    "missing-file": "error",
    "unreadable-file": "error",
    "encoding": "error",
    "wrong-columns": "error",
    "not-a-number": "error",
    "bad-frame": "error",
    "bad-identity": "error",
    "bad-box": "error",
    "bad-class": "error",
    "bad-confidence": "error",
    "duplicate-row": "error",
    "duplicate-file": "error",
    "bad-json": "error",
    "bad-expression": "error",
    "missing-referent": "error",
    "frame-outside-video": "error",
    "unknown-class": "warning",
    "video-name-differs": "warning",
    "referents-differ": "warning",
    "slug-differs": "note",
    "unknown-field": "note",
    "ignored-regions": "note",
    "repeated-referent": "note",
    "stray-file": "warning",
    "unfinished-line": "warning",
    # What the data check finds beyond the files themselves.
    "unreadable-video": "error",
    "split-overlap": "error",
    "missing-image": "error",
    "image-does-not-decode": "error",
    "image-size": "error",
    "frame-shift": "error",
    "expression-shift": "error",
    "tracker-does-not-fit": "error",
    "absent-video": "warning",
    "no-annotations": "warning",
    "no-labels": "warning",
    "length-differs": "warning",
    "image-size-varies": "warning",
    "box-outside": "warning",
    "box-units": "warning",
    "class-changes": "warning",
    "empty-expression": "warning",
    "duplicate-expression": "warning",
    "long-sentence": "warning",
    "empty-tracker": "warning",
    "dropped-rows": "warning",
    "labels-end-early": "warning",
    "too-many-images": "error",
    "rows-left-out": "note",
    "hidden-file": "note",
    "frame-without-label": "note",
    "similar-expression": "note",
    "no-expression-file": "note",
}


class Report(Protocol):
    """Receives every problem that a parser finds; it may raise, which ends the parsing."""

    def __call__(self, kind: str, error: InputError) -> None:
        """Take one problem of a ``kind`` of :data:`SEVERITY`."""
        ...


def strict(kind: str, error: InputError) -> None:
    """The report of a plain reading: raise what would make results wrong, tell which rows an option drops, pass over the rest.

    Raises:
        InputError: ``kind`` is an error.
    """
    if SEVERITY[kind] == "error":
        raise error
    if kind == "dropped-rows":
        log.warning("%s", error)


def ignore(kind: str, error: InputError) -> None:
    """A report that lets everything pass, for looking up what another reading judges."""
