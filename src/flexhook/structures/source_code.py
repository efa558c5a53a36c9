"""The source files behind modules, for digests of the code that a result or a cache entry was made by."""

from __future__ import annotations

import importlib.util
import site
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from flexhook.structures.digests import Digest


def sources_behind(module: str) -> list[Path]:
    """The files of the package that a module belongs to; the module's alone of an installed package.

    Args:
        module: Its dotted name; what follows a module's name, such as a class, is left out.

    Returns:
        Sorted paths; none of a module that has no file.
    """
    origin = None
    while module and not origin:
        name, origin, module = module, _origin(module), module.rpartition(".")[0]
    if not origin:
        return []
    top = _origin(name.partition(".")[0])
    folders = (*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"))
    installed = {Path(folder).resolve() for folder in folders}
    if top is None or installed.intersection(top.resolve().parents):
        return [origin]
    return sources_in(top.parent) if top.name == "__init__.py" else [origin]


def sources_in(folder: Path) -> list[Path]:
    """The ``*.py`` files in a folder and below it, sorted."""
    return sorted(folder.rglob("*.py"))


def sources_digest(paths: Sequence[Path]) -> str:
    """A digest of the names and contents of files, each once."""
    found = Digest()
    for path in dict.fromkeys(paths):
        found.add(path.name, path.read_bytes())
    return found.hex()


def _origin(module: str) -> Path | None:
    """The file of a module, which need not be loaded."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            found = None
        file = found.origin if found is not None and found.has_location else None
    return Path(file) if file and Path(file).is_file() else None
