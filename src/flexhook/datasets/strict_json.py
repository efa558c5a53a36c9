"""JSON without surprises: repeated keys, NaN, broken encodings and truncation are errors with a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flexhook.datasets.problems import Report, strict
from flexhook.datasets.text_files import read_text
from flexhook.errors import InputError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _RepeatedKeyError(ValueError):
    def __init__(self, key: str) -> None:
        self.key = key


def read_json(
    path: str | Path, report: Report = strict, convert: Callable[[dict[str, Any]], Any] | None = None
) -> tuple[Any, str] | None:
    """Parse a JSON file.

    Args:
        path: The file.
        report: Receives what is wrong.
        convert: Called with every object, from the innermost on; what it returns takes the object's place.

    Returns:
        The value and the file's text, for :func:`line_of_key`; None where the report let a broken file pass.

    Raises:
        InputError: The file does not exist, is not UTF-8, is not JSON (with the line), or repeats a key in one object.
    """
    text = read_text(path, report)
    if text is None:
        return None
    value = decode(text, path, report, convert)
    return None if value is None else (value, text)


def decode(
    text: str,
    path: str | Path | None = None,
    report: Report | None = None,
    convert: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """The value of a JSON text; None where it is broken and nothing or a lenient report is told.

    Args:
        text: The text.
        path: The file it is from, for messages.
        report: Receives what is wrong; None tells nobody.
        convert: See :func:`read_json`.

    Raises:
        InputError: The text is not JSON or repeats a key in one object.
    """
    try:
        decoder = _DECODER if convert is None else _decoder(lambda pairs: convert(_unique(pairs)))
        value = decoder.decode(text)
        if _SURROGATE.search(text):  # half of an escaped pair alone is no character, and no file could be named by it
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        problem, line = f"not valid JSON: {error.msg} (column {error.colno})", error.lineno
    except UnicodeEncodeError as error:
        problem, line = f"the escape {error.object[error.start]!a} is no character", 1
    except _RepeatedKeyError as error:
        line = text.count("\n", 0, max(text.rfind(json.dumps(error.key)), 0)) + 1
        problem = f"the key {error.key[:60]!r} occurs twice in one object"
    except (RecursionError, ValueError) as error:
        problem, line = f"not usable JSON ({error})", 1
    if report is not None:
        hint = "Copy the file again from its source, or mend that line"
        report("bad-json", InputError(problem, file=path, line=line, expected="a JSON file", hint=hint))
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


def _decoder(hook: Callable[[list[tuple[str, Any]]], Any]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=hook, parse_constant=_no_constant)


_DECODER = _decoder(_unique)
