"""The console script ``flexhook``: finds the command's module and hands it the arguments.

Nothing heavy is imported here, so that ``flexhook --help`` answers at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flexhook import __version__
from flexhook.errors import FlexHookError, Stopped

COMMANDS = {
    "train": "train a referring model, then score, evaluate and picture it (Hydra)",
    "score": "score every (observation, expression) of whole videos with a checkpoint (Hydra)",
    "track": "tracks from raw video or a dataset's pictures: detector and associator, as MOT files (Hydra)",
    "predict": "trajectories that sentences refer to, for a video and somebody's tracks (Hydra)",
    "evaluate": "HOTA and its parts from scores or from a folder of gt.txt/predict.txt (Hydra)",
    "data": "make, prepare, check and count datasets",
    "render": "overlay video and contact sheet of scored expressions",
    "sweep": "ablations times seeds, or a study, with its report",
    "report": "one table and plots from many run folders",
    "bench": "benchmarks of scoring, streams, training, evaluation and data",
    "convert": "checkpoints of the authors to ours and back",
    "parity": "compare this model with golden values, number by number",
}


def usage() -> str:
    """The text of ``flexhook --help``."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: flexhook COMMAND [arguments]\n\n"
        "Referring multi-object tracking: from a video, its trajectories and a sentence to the trajectories meant.\n\n"
        f"commands:\n{rows}\n\n"
        "`flexhook COMMAND --help` tells its arguments; those marked Hydra take overrides (key=value), -m, --cfg job.\n"
        "`flexhook --version` prints the version."
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; by default those of the process.

    Returns:
        Exit status: 0 when all went well, 1 when a check failed, 2 for a mistake in the input, 143 after SIGTERM, 130 after
        Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"flexhook {__version__}")
        return 0
    name = argv[0]
    module = f"flexhook.commands.{name}"
    if name not in COMMANDS or importlib.util.find_spec(module) is None:
        print(f"flexhook: unknown command '{name}'. Expected one of: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    try:
        with signals_raise():
            return importlib.import_module(module).run(argv[1:]) or 0
    except FlexHookError as error:
        print(f"flexhook {name}: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"flexhook {name}: {stop}", file=sys.stderr)
        return int(stop.code or 1)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        from flexhook.configuration.mistakes import as_mistake

        known = as_mistake(error)
        if known is None:
            raise
        print(f"flexhook {name}: {known}", file=sys.stderr)
        return 2


@contextmanager
def signals_raise() -> Iterator[None]:
    """Within this context SIGTERM and Ctrl-C raise :class:`~flexhook.errors.Stopped` in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough: what is under way is cleaned up
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
