"""Which file a checkpoint is, and whether it can be one, told before anything heavy is imported."""

from __future__ import annotations

import zipfile
from pathlib import Path

from flexhook.errors import InputError
from flexhook.structures.files import read_json

HINT = "Name a file under checkpoints/ of a run folder; the authors' .pth files go through `flexhook convert` first"


def checkpoint_file(path: str | Path) -> Path:
    """The file of a checkpoint: the path itself, or of a run folder the checkpoint that its training chose.

    Raises:
        InputError: There is none, or the file cannot be one.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        file = chosen_checkpoint(file)
    require_checkpoint_file(file)
    return file


def chosen_checkpoint(folder: Path) -> Path:
    """The checkpoint that a training chose, by its meta.json; the last one of a training that did not come to its end.

    Raises:
        InputError: It is no run folder, or it has no checkpoint.
    """
    name = None
    try:
        name = read_json(folder / "meta.json").get("checkpoint")
    except InputError:  # a run that was stopped, or a folder of checkpoints alone
        pass
    for file in (name, "last.ckpt"):
        path = folder / "checkpoints" / Path(str(file)).name
        if file and path.is_file():
            return path
    raise InputError("there is no checkpoint", file=folder, expected="a run folder with checkpoints/, or a checkpoint file",
                     hint="Name one that `flexhook train` made, such as outputs/latest")


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
