"""Findings of the data check: problems of one kind, counted, with an example."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flexhook.datasets.problems import SEVERITY
from flexhook.errors import InputError

SEVERITIES = ("error", "warning", "note")
MEANING = {"error": "makes results wrong", "warning": "may make results wrong", "note": "worth knowing"}


@dataclass
class Finding:
    """All problems of one kind.

    Attributes:
        kind: A key of :data:`flexhook.datasets.problems.SEVERITY`.
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        example: The first of them.
        count: How many there are.
        videos: The videos in which they are, in the order in which they were met.
    """

    kind: str
    severity: str
    example: InputError
    count: int = 0
    videos: dict[str, None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The finding for JSON."""
        example = self.example
        return {
            "kind": self.kind,
            "severity": self.severity,
            "count": self.count,
            "videos": list(self.videos),
            "example": {
                "message": str(example),
                "problem": example.problem,
                "file": None if example.file is None else str(example.file),
                "line": example.line,
                "expected": example.expected,
                "hint": example.hint,
            },
        }


class Findings:
    """Collects problems by kind; it is a :class:`flexhook.datasets.problems.Report` that never raises.

    Attributes:
        video: The video that is being looked at, for the problems reported now.
    """

    def __init__(self) -> None:
        self.by_kind: dict[str, Finding] = {}
        self.video: str | None = None

    def __call__(self, kind: str, error: InputError, count: int = 1) -> None:
        """Take one problem, or ``count`` alike of which ``error`` is an example."""
        finding = self.by_kind.setdefault(kind, Finding(kind, SEVERITY[kind], error))
        finding.count += count
        if self.video is not None:
            finding.videos[self.video] = None

    def __iter__(self) -> Iterator[Finding]:
        """Findings from the worst severity on, the most frequent first."""
        return iter(sorted(self.by_kind.values(), key=lambda f: (SEVERITIES.index(f.severity), -f.count, f.kind)))

    def __len__(self) -> int:
        return len(self.by_kind)

    def count(self, severity: str) -> int:
        """Number of problems of a severity."""
        return sum(f.count for f in self.by_kind.values() if f.severity == severity)

    def text(self) -> str:
        """The findings as a table by severity."""
        lines = []
        for severity in SEVERITIES:
            found = [f for f in self if f.severity == severity]
            if found:
                lines.append(f"{severity}s: {sum(f.count for f in found)} ({MEANING[severity]})")
            for f in found:
                names = list(f.videos)
                where = f" in {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" if names else ""
                lines += [f"  {f.kind}: {f.count}{where}", f"      {'e.g. ' if f.count > 1 else ''}{f.example}"]
        return "\n".join(lines)
