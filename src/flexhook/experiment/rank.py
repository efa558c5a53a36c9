"""One process of a job: ``python -m flexhook.experiment.rank config.yaml`` with the variables of :mod:`.ranks` set."""

from __future__ import annotations

import sys

from omegaconf import OmegaConf

from flexhook.errors import FlexHookError
from flexhook.experiment.ranks import end_with_parent


def main() -> int:
    """Load the configuration and train as this rank."""
    from flexhook.experiment.train import train_rank

    end_with_parent()
    try:
        train_rank(OmegaConf.load(sys.argv[1]))  # type: ignore[arg-type]
    except FlexHookError as error:
        print(f"flexhook train: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
