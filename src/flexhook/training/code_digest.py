"""Digests of the code that a run is made by: what the commit cannot tell of uncommitted changes and of others' packages."""

from __future__ import annotations

import importlib.util
import site
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flexhook
from flexhook.structures.digests import Digest


def code_digests(config: Any) -> dict[str, str]:
    """``{package: digest of its *.py}`` of this package and of those that a configuration's ``_target_`` name.

    Of an installed package only the module that is named counts: its version tells the rest.

    Args:
        config: The resolved configuration as plain containers.
    """
    files = {"flexhook": _sources(Path(flexhook.__file__).parent)}
    for module in sorted({target.rpartition(".")[0] for target in targets(config)}):
        package = module.partition(".")[0]
        if package not in ("", "flexhook", "torch", "lightning", "hydra"):
            files.setdefault(package, []).extend(_files_behind(module))
    return {package: _digest(paths) for package, paths in files.items() if paths}


def targets(config: Any) -> Iterator[str]:
    """Every ``_target_`` of a configuration, and the paths that its ``hydra.utils.get_method`` and the like take."""
    if isinstance(config, Mapping):
        target = config.get("_target_")
        if isinstance(target, str):
            yield target
            if target.startswith("hydra.utils.get_") and isinstance(config.get("path"), str):
                yield config["path"]
    if isinstance(config, Mapping | Sequence) and not isinstance(config, str):
        for part in config.values() if isinstance(config, Mapping) else config:
            yield from targets(part)


def _files_behind(module: str) -> list[Path]:
    """The files of the package that a module belongs to; the module's alone of an installed package."""
    found = None
    while module and not found:  # what is named may be an attribute of a class
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            found = None
        name, module = module, module.rpartition(".")[0]
    if not found or not found.origin or not found.origin.endswith(".py"):
        return []
    top = importlib.util.find_spec(name.partition(".")[0])
    folders = (*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"))
    installed = {Path(folder).resolve() for folder in folders}
    if not top or not top.origin or installed.intersection(Path(top.origin).resolve().parents):
        return [Path(found.origin)]
    return _sources(Path(top.origin).parent) if top.submodule_search_locations else [Path(top.origin)]


def _sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _digest(paths: Sequence[Path]) -> str:
    found = Digest()
    for path in dict.fromkeys(paths):
        found.add(path.name, path.read_bytes())
    return found.hex()
