"""JSON without surprises: repeated keys, NaN, broken encodings and truncation are errors with a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flexhook.datasets.problems import Report, strict
from flexhook.datasets.text_files import read_text
from flexhook.errors import InputError


class _RepeatedKeyError(ValueError):
    def __init__(self, key: str) -> None:
        self.key = key


def read_json(path: str | Path, report: Report = strict) -> tuple[Any, str] | None:
    """Parse a JSON file.

    Returns:
        The value and the file's text (for :func:`line_of_key`); None where the report let a broken file pass.

    Raises:
        InputError: The file does not exist, is not UTF-8, is not JSON (with the line), or repeats a key in one object.
    """
    text = read_text(path, report)
    if text is None:
        return None
    try:
        return _DECODER.decode(text), text
    except json.JSONDecodeError as error:
        problem, line = f"not valid JSON: {error.msg} (column {error.colno})", error.lineno
    except _RepeatedKeyError as error:
        problem, line = f"the key {error.key!r} occurs twice in one object", line_of_repeated_key(text, error.key)
    except (RecursionError, ValueError) as error:
        problem, line = f"not usable JSON ({error})", 1
    report(
        "bad-json",
        InputError(
            problem,
            file=path,
            line=line,
            expected="one JSON object",
            hint="Copy the file again from its source, or mend that line",
        ),
    )
    return None


def line_of_key(text: str, *keys: str) -> int:
    """1-based line where the last of nested ``keys`` stands, searched one after the other; 1 where it is not found."""
    at = 0
    for key in keys:
        found = text.find(json.dumps(key), at)
        if found < 0:
            break
        at = found
    return text.count("\n", 0, at) + 1


def line_of_repeated_key(text: str, key: str) -> int:
    """1-based line of the last occurrence of ``key`` as a string."""
    return text.count("\n", 0, max(text.rfind(json.dumps(key)), 0)) + 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RepeatedKeyError(key)
            seen.add(key)
    return out


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
