"""FlexHook: referring multi-object tracking as an experiment framework.

Three lines take a video and sentences to the trajectories meant; nothing heavy is imported before they are called::

    import flexhook
    model = flexhook.load("outputs/latest")
    result = model.predict("clip.mp4", ["white cars"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexhook.api import LiveStream, Model, Prediction, SentenceResult, first_stage, grounding, load

__version__ = "0.1.0"
__all__ = ["LiveStream", "Model", "Prediction", "SentenceResult", "__version__", "first_stage", "grounding", "load"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("flexhook.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
