"""Configurations with dotted keys, to be compared and logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: What another attempt at the same run, or another seed of it, may have otherwise: where and by whom it is made.
FREE = (
    "ckpt_path", "cache_dir", "own_gpu", "pictures", "logger", "launcher", "trainer.devices",
    "sampling.num_workers", "sampling.keep_images", "sampling.cache_images", "scoring.num_workers",
)  # fmt: skip


def changes_results(key: str) -> bool:
    """Whether a value of a configuration (``optim.epochs``) is one that results depend on."""
    return not within(key, FREE)


def within(key: str, parts: Iterable[str]) -> bool:
    """Whether a key is one of some parts of a configuration, or lies in one."""
    return any(key == part or key.startswith(f"{part}.") for part in parts)


def flat_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration with dotted keys, ``{"optim.epochs": 20, ...}``, and without its own folder.

    Args:
        config: The resolved configuration as plain containers; ``run_dir`` is left out and stripped from paths in it.
    """
    folder = str(config.get("run_dir") or "")
    out: dict[str, Any] = {}

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for key, part in value.items():
                visit(f"{prefix}.{key}" if prefix else str(key), part)
        elif prefix != "run_dir":
            out[prefix] = value.replace(folder, "") if folder and isinstance(value, str) else value

    visit("", config)
    return out
