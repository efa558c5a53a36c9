"""Digests of the code that a run is made by: what the commit cannot tell of uncommitted changes and of others' packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flexhook
from flexhook.structures.source_code import sources_behind, sources_digest, sources_in


def code_digests(config: Any) -> dict[str, str]:
    """``{package: digest of its *.py}`` of this package and of those that a configuration's ``_target_`` name.

    Of an installed package only the module that is named counts: its version tells the rest.

    Args:
        config: The resolved configuration as plain containers.
    """
    files = {"flexhook": sources_in(Path(flexhook.__file__).parent)}
    for module in sorted({target.rpartition(".")[0] for target in targets(config)}):
        package = module.partition(".")[0]
        if package not in ("", "flexhook", "torch", "lightning", "hydra"):
            files.setdefault(package, []).extend(sources_behind(module))
    return {package: sources_digest(paths) for package, paths in files.items() if paths}


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
