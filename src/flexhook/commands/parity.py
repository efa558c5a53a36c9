"""``flexhook parity``: compare this model with golden values, number by number."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def run(argv: list[str]) -> int:
    """Compare and print a table.

    Returns:
        0 when every quantity of the folder was compared and is within tolerance, 1 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="flexhook parity",
        description="Loads a model's weights and inputs from a folder, computes features, text and trajectory tokens, "
        "reference points, logits, loss and gradients, and prints the largest difference from the folder's values. "
        "Exit status 0: everything in the folder was compared and agrees; 1: something differs or is missing.",
        epilog="A folder of a one-stage model (TransRMOT, TempRMOT) has parts in folders of their own: single, clip, clip_fp, "
        "online, online_extra_track_attn. "
        "Tolerances: 1e-9 in float64 (gradient norms 1e-7 relative), 5e-5 in float32 (1e-4 relative).",
    )
    parser.add_argument("folder", type=Path, help="config.json, state_dict.safetensors, inputs.npz, outputs.npz, scalars.json")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64", help="precision to compute in")
    parser.add_argument("--record", action="store_true", help="write this model's float64 values into the folder; "
                        "weights and inputs are drawn where there are none")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of drawn weights and inputs")
    arguments = parser.parse_args(argv)

    import torch

    from flexhook.errors import InputError
    from flexhook.parity.compare import compare, table
    from flexhook.parity.golden import read_golden
    from flexhook.parity.one_stage import compare_one_stage, is_one_stage_folder
    from flexhook.parity.record import record

    if arguments.record:
        print("wrote " + ", ".join(str(file) for file in record(arguments.folder, arguments.seed)))
        return 0
    print(f"comparing with {arguments.folder} in {arguments.dtype}")
    try:
        dtype = getattr(torch, arguments.dtype)
        if is_one_stage_folder(arguments.folder):
            rows = compare_one_stage(arguments.folder, dtype)
        else:
            rows = compare(read_golden(arguments.folder), dtype, str(arguments.folder / "state_dict.safetensors"))
    except InputError as error:
        if not arguments.folder.is_dir():
            raise
        print(f"flexhook parity: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    failed = [r.quantity for r in rows if not r.passed]
    if failed:
        print(f"FAIL: {len(failed)} of {len(rows)} quantities differ or are missing: {', '.join(failed[:20])}")
        return 1
    print(f"all {len(rows)} quantities agree")
    return 0
