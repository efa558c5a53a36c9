"""Configurations that were stored with results: read within limits, and without anything that acts when it is read.

Ours are written resolved. One with an interpolation could read environment variables or make folders, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flexhook.errors import InputError
from flexhook.structures.files import open_regular

MAX_BYTES = 4 << 20
MAX_NODES = 100_000
MAX_DEPTH = 50
_HINT = "Take the file from the run that made it, or train again"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without repeated keys, and without numbers of any length, whose conversion takes quadratic time."""

    def construct_scalar(self, node: Any) -> Any:
        if len(node.value) > 100 and not node.tag.endswith(":str"):
            raise yaml.constructor.ConstructorError(None, None, "a number is too long", node.start_mark)
        return super().construct_scalar(node)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if not all(isinstance(key, str | int | float | bool) for key in keys):
            raise yaml.constructor.ConstructorError(None, None, "a key is neither text nor number", node.start_mark)
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_stored_config(path: str | Path) -> DictConfig:
    """Read a ``config.yaml``.

    Raises:
        InputError: The file is missing, larger than :data:`MAX_BYTES`, no YAML, or :func:`stored_config` refuses it.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"the configuration is larger than {MAX_BYTES >> 20} MB", file=path, hint=_HINT)
        value = yaml.load(content.decode("utf-8"), _Loader)  # a SafeLoader: no objects
    except FileNotFoundError:
        raise InputError("the configuration does not exist", file=path, expected="the config.yaml of a run") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InputError(f"the configuration is not valid YAML ({error.problem})", file=path, line=line, hint=_HINT) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the configuration does not read ({said})", file=path, hint=_HINT) from None
    return stored_config(value, path)


def stored_config(value: Any, source: str | Path) -> DictConfig:
    """A configuration that a file held, as OmegaConf has it.

    Args:
        value: Plain containers.
        source: The file, for the message.

    Raises:
        InputError: It is no mapping, has an interpolation, values other than plain ones, or more than :data:`MAX_NODES` of
            them or :data:`MAX_DEPTH` levels.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"the configuration is {_kind(value)}", file=source, expected="a mapping", hint=_HINT)
    nodes: list[tuple[str, Any, int]] = [("", value, 0)]
    count = 0
    while nodes:
        key, node, depth = nodes.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            limit = f"{MAX_NODES:,} values" if count > MAX_NODES else f"{MAX_DEPTH} levels"
            raise InputError(f"the configuration has more than {limit}", file=source, hint=_HINT)
        if isinstance(node, Mapping):
            nodes += [(f"{key}.{k}".lstrip("."), part, depth + 1) for k, part in node.items()]
            nodes += [(f"{key}, a key", k, depth) for k in node if isinstance(k, str) and "${" in k]
        elif isinstance(node, list | tuple):
            nodes += [(f"{key}[{k}]", part, depth + 1) for k, part in enumerate(node)]
        elif isinstance(node, str) and "${" in node:
            raise InputError(f"the configuration has an interpolation, {key}: {node[:80]!r}", file=source,
                             expected="a configuration that is resolved, as training writes it",
                             hint="Nothing was read further: an interpolation can read variables and make folders")
        elif not isinstance(node, str | int | float | bool | None):
            raise InputError(f"the configuration's {key} is {_kind(node)}", file=source,
                             expected="text, numbers, lists and mappings", hint=_HINT)
    try:
        return OmegaConf.create(dict(value))
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise InputError(f"the configuration does not read ({str(error).splitlines()[0]})", file=source, hint=_HINT) from None


def _kind(value: Any) -> str:
    return "empty" if value is None else f"a {type(value).__name__}"
