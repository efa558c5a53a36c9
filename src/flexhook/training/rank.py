"""One process of a job: ``python -m flexhook.training.rank config.yaml`` with the variables of :mod:`.ranks` set."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from flexhook.configuration.mistakes import as_mistake
from flexhook.configuration.stored_config import read_stored_config
from flexhook.structures.files import atomic_write
from flexhook.training.ranks import end_with_parent, mistake_file


def main() -> int:
    """Load the configuration and train as this rank; a mistake in the input is left for the supervising process."""
    from flexhook.training.job import train_rank

    end_with_parent()
    folder, rank = Path(sys.argv[1]).parent, int(os.environ["FLEXHOOK_RANK"])
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if rank == 0:
        handlers.append(logging.FileHandler(folder / "train.log"))
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format="%(message)s", handlers=handlers)
    try:
        train_rank(read_stored_config(sys.argv[1]))
    except Exception as error:
        known = as_mistake(error)
        if known is None:
            if any((folder / "logs").glob("*.mistake")):  # another process found it and went: only the connection failed here
                return 1
            raise
        with atomic_write(mistake_file(folder / "logs", rank)) as temporary:
            temporary.write_text(str(known))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
