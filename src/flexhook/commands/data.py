"""``flexhook data``: finds the subcommand's module and hands it the parsed arguments.

A subcommand is a module with ``add_arguments(parser)`` and ``run(args) -> int``; another one is a row in :data:`SUBCOMMANDS`.
"""

from __future__ import annotations

import argparse
import importlib

from flexhook.errors import InputError

#: Name -> module, and what it does in a line.
SUBCOMMANDS = {
    "synthesize": ("flexhook.commands.data_synthesize", "make a synthetic world with expressions and tracker output"),
    "prepare": ("flexhook.commands.data_prepare", "build what a dataset lacks: labels, index, resized images, lists"),
    "check": ("flexhook.commands.data_check", "say everything that is wrong with a dataset and with tracker output"),
    "stats": ("flexhook.commands.data_stats", "count and plot what papers report of a dataset"),
}


def usage() -> str:
    """The text of ``flexhook data --help``."""
    rows = "\n".join(f"  {name:<11} {text}" for name, (_, text) in SUBCOMMANDS.items())
    return (
        "usage: flexhook data SUBCOMMAND [arguments]\n\n"
        f"subcommands:\n{rows}\n\n"
        "`flexhook data SUBCOMMAND --help` tells a subcommand's arguments."
    )


def run(argv: list[str]) -> int:
    """Run a subcommand.

    Args:
        argv: Its name and arguments.

    Returns:
        Exit status: 0 when all went well, 1 when a check failed, 2 for a mistake in the arguments.

    Raises:
        InputError: There is no such subcommand, or it met a mistake in its input.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] not in SUBCOMMANDS:
        raise InputError(f"there is no subcommand '{argv[0]}'", expected=f"one of {', '.join(SUBCOMMANDS)}")
    module_name, _ = SUBCOMMANDS[argv[0]]
    module = importlib.import_module(module_name)
    parser = argparse.ArgumentParser(
        prog=f"flexhook data {argv[0]}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    try:
        args = parser.parse_intermixed_args(argv[1:])
    except SystemExit as stop:
        return int(stop.code or 0)
    return module.run(args)
