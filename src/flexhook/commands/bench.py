"""``flexhook bench``: finds a benchmark's module and hands it the arguments."""

from __future__ import annotations

import importlib

from flexhook.errors import InputError

#: Name -> what it measures, in a line; the module is ``flexhook.benchmarks.<name>_speed`` with ``run(argv) -> int``.
BENCHMARKS = {
    "scoring": "whole videos against one window with 8 expressions at a time",
    "training": "clips whose windows share frames against one-window items",
    "stream": "latency of a live frame by tracks and sentences, and what one more sentence costs",
    "evaluation": "HOTA, CLEAR and Identity against the trackeval package",
    "data": "reading a dataset of the size of Refer-KITTI-V2 against plain dictionaries",
}


def usage() -> str:
    """The text of ``flexhook bench --help``."""
    rows = "\n".join(f"  {name:<11} {text}" for name, text in BENCHMARKS.items())
    return (
        "usage: flexhook bench BENCHMARK [arguments]\n\n"
        f"benchmarks:\n{rows}\n\n"
        "`flexhook bench BENCHMARK --help` tells a benchmark's arguments; benchmarks/README.md has measured tables."
    )


def run(argv: list[str]) -> int:
    """Run a benchmark.

    Args:
        argv: Its name and arguments.

    Returns:
        Exit status: 0 when all went well, 1 when the results do not agree with the baseline's or a target is missed,
        2 for a mistake.

    Raises:
        InputError: There is no such benchmark, or it met a mistake in its arguments.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] not in BENCHMARKS:
        raise InputError(f"there is no benchmark '{argv[0]}'", expected=f"one of {', '.join(BENCHMARKS)}")
    try:
        return importlib.import_module(f"flexhook.benchmarks.{argv[0]}_speed").run(argv[1:])
    except SystemExit as stop:
        return int(stop.code or 0)
