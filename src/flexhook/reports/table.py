"""One table, three notations: Markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

_LATEX = str.maketrans({
    **{character: f"\\{character}" for character in "_%&#${}"}, "\\": r"\textbackslash{}", "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "Δ": r"$\Delta$", "–": "--",
})  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Cells as they are shown.

    Attributes:
        columns: Headings; the first column holds names, the others numbers.
        rows: Cells.
        rules: Rows before which a line is drawn.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rules: tuple[int, ...] = ()

    def without_empty_columns(self) -> Table:
        """Columns in which some row has something."""
        kept = [k for k in range(len(self.columns)) if k == 0 or any(row[k] for row in self.rows)]
        return Table(tuple(self.columns[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in self.rows), self.rules)

    def markdown(self) -> str:
        """A pipe table, columns aligned."""
        cells = [[c.replace("|", "\\|") for c in row] for row in (self.columns, *self.rows)]
        widths = [max(3, *(len(row[k]) for row in cells)) for k in range(len(self.columns))]
        lines = [_pipe(_aligned(row, widths)) for row in cells]
        return "\n".join([lines[0], _pipe(["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]), *lines[1:]]) + "\n"

    def latex(self) -> str:
        """A tabular of the package booktabs."""
        lines = [r"\begin{tabular}{l" + "r" * (len(self.columns) - 1) + "}", r"\toprule", _tex(self.columns), r"\midrule"]
        for k, row in enumerate(self.rows):
            lines += [r"\midrule"] * (k in self.rules and k > 0) + [_tex(row)]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def csv_text(rows: Sequence[dict[str, object]]) -> str:
    """Rows as CSV, columns in the order in which they come up; numbers to six decimals."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return stream.getvalue()


def _pipe(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))]


def _tex(cells: Sequence[str]) -> str:
    guard = "{}" if cells[0].startswith("[") else ""  # a bracket behind \\ would be its argument
    return guard + " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"
