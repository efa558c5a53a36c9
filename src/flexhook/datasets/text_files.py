"""Reading text files strictly."""

from __future__ import annotations

import codecs
from pathlib import Path

from flexhook.datasets.problems import Report, strict
from flexhook.errors import InputError
from flexhook.structures.files import open_regular


def read_text(path: str | Path, report: Report = strict) -> str | None:
    """The text of a UTF-8 file; a byte order mark is dropped, and every line ends with a line feed.

    Returns:
        The text, or None where the report let an unreadable file pass.

    Raises:
        InputError: The file is missing, a folder, not readable, or not UTF-8 (with the line of the first bad byte).
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        report(
            "missing-file",
            InputError("the file does not exist", file=path, hint="Restore it, or correct the data configuration"),
        )
        return None
    except OSError as error:
        report(
            "unreadable-file",
            InputError(f"the file cannot be read ({error.strerror})", file=path, expected="a readable text file"),
        )
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf_16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        report(
            "encoding",
            InputError(
                "the file is UTF-16" if utf_16 else f"byte {error.object[error.start]:#04x} is not UTF-8",
                file=path,
                line=data.count(b"\n", 0, error.start) + 1,
                expected="a text file in UTF-8",
                hint="Copy the file again from its source, or convert it to UTF-8",
            ),
        )
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def number_lines(
    path: str | Path, separator: str | None = None, report: Report = strict, *, words: bool = False
) -> list[tuple[int, list[str]]]:
    """The non-empty lines of a text file of numbers, split into fields.

    Args:
        path: The file.
        separator: Character between fields; None for white space.
        words: The lines hold words too, and any character may stand in them: parse their numbers with :func:`number`.
        report: Receives what is wrong: characters that no number has, a last line without its line end.

    Returns:
        ``(line number from 1, fields)`` of each line that is not blank.
    """
    text = read_text(path, report)
    if text is None:
        return []
    suspicious = not words and not _plain(text)
    lines: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        if suspicious and not _plain(line):
            report(
                "not-a-number",
                InputError(
                    f"the line {line[:60]!r} holds characters that are not part of a number",
                    file=path,
                    line=number,
                    expected="plain decimal numbers",
                    hint="Copy the file again from its source",
                ),
            )
            continue
        lines.append((number, line.split(separator)))
    if text and not text.endswith("\n"):
        report(
            "unfinished-line",
            InputError(
                "the last line has no line end: the file may be truncated",
                file=path,
                line=text.count("\n") + 1,
                hint="Compare it with its source",
            ),
        )
    return lines


def number(field: str) -> float:
    """The number that a field is; Python's own ``float`` takes "1_0" and digits of other scripts too.

    Raises:
        ValueError: The field is no number.
    """
    if not _plain(field):
        raise ValueError(field)
    return float(field)


def _plain(text: str) -> bool:
    return text.isascii() and "_" not in text
