"""Damaged files of every kind that is read: no exception but ours, no value that is not sensible, nothing executed.

``make campaign`` draws 20,000; the slow tests draw 2,000, others every day. A failure names its seed and draw, which
``FLEXHOOK_CAMPAIGN_SEED=7 FLEXHOOK_CAMPAIGN_DRAWS=120:121 pytest -m slow tests/campaign/test_mutations.py`` repeats.
"""

import os
import time
import warnings
from datetime import date

import numpy as np
import pytest
from damage import damaged
from files import make_targets

from flexhook.errors import FlexHookError

SEED = int(os.environ.get("FLEXHOOK_CAMPAIGN_SEED", date.today().toordinal()))
SLOWEST = 10.0  # seconds for one damaged file


def draws():
    """The draws that are asked for: a number, or FIRST:STOP."""
    first, _, stop = os.environ.get("FLEXHOOK_CAMPAIGN_DRAWS", "2000").rpartition(":")
    return range(int(first or 0), int(stop))


@pytest.mark.slow
def test_damaged_files_are_told_or_read_to_sensible_values(tmp_path_factory, monkeypatch, capfd):
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
    targets = make_targets(tmp_path_factory.mktemp("files"))
    for target in targets:
        target.sane(target.read())  # whole files read
    weights = np.array([t.weight for t in targets], float)
    wholes = [target.path.read_bytes() for target in targets]
    refused, failures = 0, []
    capfd.readouterr()
    for draw in draws():
        rng = np.random.default_rng([SEED, draw])
        k = int(rng.choice(len(targets), p=weights / weights.sum()))
        target = targets[k]
        target.path.write_bytes(damaged(wholes[k], target.kind, rng))
        begin = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.sane(target.read())
        except FlexHookError:
            refused += 1
        except BaseException as error:
            failures.append(f"draw {draw} of seed {SEED}, {target.name}: {type(error).__name__}: {str(error)[:150]}")
            if isinstance(error, KeyboardInterrupt):
                raise
        if time.monotonic() - begin > SLOWEST:
            failures.append(f"draw {draw} of seed {SEED}, {target.name}: took {time.monotonic() - begin:.0f} s")
        target.path.write_bytes(wholes[k])
    said = "".join(capfd.readouterr())
    assert "must never be printed" not in said
    assert not failures, f"{len(failures)} of {len(draws())}:\n" + "\n".join(failures[:40])
    assert refused > len(draws()) / 4  # the damage is felt
