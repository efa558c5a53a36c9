"""Lines of MOTChallenge files: the dialects that tools write."""

from __future__ import annotations

import contextlib
from pathlib import Path

from flexhook.datasets.problems import Report, ignore, strict
from flexhook.datasets.text_files import read_text
from flexhook.errors import InputError

#: Fewest and most columns of a row.
LEAST, MOST = 6, 10
ROW = "rows `frame,id,x,y,w,h[,confidence,...]` of 6 to 10 numbers in pixels, as many in every row"
#: Names of the first six columns that a header may give.
_HEADER: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in ("frame frame_id frameid frame_number fn", "id track_id trackid tid identity object_id track",
                  "x left bb_left bbox_left xmin x1", "y top bb_top bbox_top ymin y1", "w width bb_width bbox_width",
                  "h height bb_height bbox_height")
)  # fmt: skip


def mot_lines(path: str | Path, report: Report = strict) -> list[str]:
    """The lines of a MOT file with fields separated by commas, in whatever dialect it is written.

    Read are a byte order mark, all line ends, fields separated by semicolons or white space, a comma after the last field of
    every row, lines that begin with ``#``, and a header that names ``frame,id,x,y,w,h`` in this order; the latter two become
    empty lines.

    Raises:
        InputError: The file is missing, not UTF-8, JSON, KITTI's labels, or has a header with other columns.
    """
    text = read_text(path, report)
    if not text:
        return []
    lines = text.split("\n")
    if lines[-1]:
        problem = "the last line has no line end: the file may be truncated"
        report("unfinished-line", InputError(problem, file=path, line=len(lines), hint="Compare it with its source"))
    if "#" in text:
        lines = ["" if line.lstrip().startswith("#") else line for line in lines]
    first = next((k for k, line in enumerate(lines) if line and not line.isspace()), None)
    if first is None:
        return []
    other = _other_format(lines[first].strip())
    if other:
        report("wrong-columns", InputError(other, file=path, line=first + 1, expected=ROW, hint="Convert it to MOT rows"))
        return []
    if ";" in lines[first]:
        lines = [line if "," in line else line.replace(";", ",") for line in lines]
    elif "," not in lines[first]:
        lines = [line if "," in line else ",".join(line.split()) for line in lines]
    words = any(map(str.isalpha, lines[first])) and not any(map(_is_number, lines[first].split(",")))
    if words and lines[first].count(",") >= LEAST - 1:
        _check_header(lines[first], path, first + 1, report)
        lines[first] = ""
    last = next((line.rstrip() for line in reversed(lines) if line and not line.isspace()), "")
    if last.endswith(",") and all(line.rstrip().endswith(",") for line in lines if line and not line.isspace()):
        lines = [line.rstrip()[:-1] for line in lines]
    return lines


def _other_format(line: str) -> str | None:
    """What a file is whose first line this is, where that is known and no MOT file."""
    fields = line.split()
    if line[0] in "[{":
        return "the file is JSON"
    if len(fields) in (17, 18) and fields[2].isalpha() and "," not in line:
        return "the file has KITTI's label format, `frame id type truncated occluded alpha x1 y1 x2 y2 ...`"
    return None


def _check_header(line: str, path: str | Path, number: int, report: Report) -> None:
    names = [name.strip().strip("\"'").lower() for name in line.split(",")]
    if not all(name in known for name, known in zip(names, _HEADER, strict=False)):
        problem = f"the line {line[:80]!r} is a header whose columns are not known"
        hint = "Remove the header if the columns are frame, id, x, y, w, h, ..., else reorder them"
        report("not-a-number", InputError(problem, file=path, line=number, expected=ROW, hint=hint))


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def line_of_frame(path: Path, frame: int) -> int | None:
    """1-based line of the first row of a frame as the file numbers it, among rows of which others may be malformed."""
    for number, line in enumerate(mot_lines(path, ignore), 1):
        with contextlib.suppress(ValueError):
            if float(line.split(",")[0]) == frame:
                return number
    return None
