"""Whether a file can be a checkpoint, told before anything heavy is imported."""

from __future__ import annotations

import zipfile
from pathlib import Path

from flexhook.errors import InputError

HINT = "Name a file under checkpoints/ of a run folder; the authors' .pth files go through `flexhook convert` first"


def require_checkpoint_file(path: str | Path) -> None:
    """See that a file exists and has the form of a checkpoint, which is a zip archive.

    Raises:
        InputError: It has not.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        found = sorted(file.rglob("*.ckpt"), key=lambda p: p.stat().st_mtime)
        hint = f"Its newest checkpoint is {found[-1]}" if found else HINT
        raise InputError("it is a folder", file=path, expected="a checkpoint", hint=hint)
    if not file.exists():
        raise InputError("the checkpoint does not exist", file=path, hint=HINT)
    try:
        if zipfile.is_zipfile(file):
            return
        with open(file, "rb") as stream:
            begin = stream.read(64)
    except OSError as error:
        raise InputError(f"the checkpoint does not read ({error.strerror})", file=path, hint=HINT) from None
    kind = "an empty file" if not begin else "text" if begin.decode("latin-1").isprintable() else "no archive of torch.save"
    raise InputError(f"the checkpoint does not load (it is {kind}, or was cut short)", file=path,
                     expected="a whole file that `flexhook train` wrote", hint=HINT)
