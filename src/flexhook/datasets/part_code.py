"""The code of a dataset's parts as a text: what a cache of read videos depends on besides settings and files."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import flexhook
from flexhook.structures.source_code import sources_behind, sources_digest, sources_in

_ADDRESS = re.compile(r"<([^,(=]*) at 0x[0-9a-fA-F]+>")
_NO_SOURCE = re.compile(r"(\S+)=no source")
_OWN = Path(flexhook.__file__).parent


def code_of(*parts: Any) -> str:
    """The classes of some parts, of what they hold and of their bases, with a digest of each one's source code.

    The source code of a class is that of the package that its module belongs to; of an installed package that of the module,
    of this one that of the subpackage. A module of no package counts with the modules that it imports from its own folder.
    Classes of the standard library are left out.
    """
    classes: dict[type | FunctionType, None] = {}
    for part in parts:
        _collect(part, classes, set())
    named = sorted({(str(kind.__module__), kind.__qualname__) for kind in classes})
    return " ".join(f"{module}.{name}={_module_digest(module)}" for module, name in named)


def without_description(settings: str) -> str | None:
    """Of settings with :func:`code_of`, what says something else in the next process, or the same after a change.

    That is an object without ``__repr__``, known by its address in memory, or a class without a source file.
    """
    found = _ADDRESS.search(settings) or _NO_SOURCE.search(settings)
    return found[1] if found else None


def _collect(value: Any, classes: dict[type | FunctionType, None], seen: set[int]) -> None:
    if value is None or isinstance(value, str | bytes | int | float | Path) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, type | FunctionType):
        kinds: Iterable[Any] = value.__mro__ if isinstance(value, type) else [value]
        classes.update(dict.fromkeys(k for k in kinds if str(k.__module__).partition(".")[0] not in sys.stdlib_module_names))
        return
    _collect(type(value), classes, seen)
    if isinstance(value, Mapping):
        held: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        held = value
    elif is_dataclass(value):
        held = [getattr(value, field.name, None) for field in fields(value)]
    else:
        held = getattr(value, "__dict__", {}).values()
    for one in list(held):
        _collect(one, classes, seen)


@cache
def _module_digest(module: str) -> str:
    if module.partition(".")[0] == "flexhook":
        return sources_digest(sources_in(_OWN / module.split(".")[1]))
    paths = sources_behind(module)
    if not paths:
        return "no source"
    return sources_digest(_with_neighbours(module, paths[0]) if len(paths) == 1 else paths)


def _with_neighbours(module: str, path: Path) -> list[Path]:
    """The file of a module and those of loaded modules in its folder that it imports, directly or not."""
    found, waiting = {path.resolve(): module}, [module]
    while waiting:
        for value in list(vars(sys.modules.get(waiting.pop(), sys)).values()):
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            file = getattr(sys.modules.get(name), "__file__", None) if isinstance(name, str) else None
            if file and Path(file).parent.resolve() == path.resolve().parent and Path(file).resolve() not in found:
                found[Path(file).resolve()] = name  # type: ignore[assignment]
                waiting.append(name)  # type: ignore[arg-type]
    return sorted(found)
