"""``flexhook sweep``: ablations times seeds, or a study, with its report."""

from __future__ import annotations


def run(argv: list[str]) -> int:
    """Run ``flexhook sweep``."""
    from flexhook.sweeps.sweep import run as run_sweep

    return run_sweep(argv)
