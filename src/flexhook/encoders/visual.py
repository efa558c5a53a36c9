"""Visual encoders from timm: any model with feature maps, by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from flexhook.encoders.hub import address, first_line, hub
from flexhook.encoders.weight_files import read_weights
from flexhook.errors import InputError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
STRIDES = (4, 8, 16, 32)


class TimmVisualEncoder(nn.Module):
    """A timm model's feature maps, finest first, always with the channels second.

    Of the model's maps the last at each of ``strides`` is kept; a model whose maps all have one stride (a plain vision
    transformer) gives one scale, its last map. Layers behind the last kept map are not built.

    Args:
        model: Name in timm, with or without a weight tag (``resnet34``, ``resnet34.tv_in1k``).
        image_size: (height, width) in pixels of the images that ``forward`` will get.
        pretrained: Take timm's published weights, from the hub or its local cache.
        weights: Instead: a file of weights in a naming that timm knows for this model, or a state dict.
        strides: Strides from which maps are kept, in pixels of the image per pixel of the map.
        scales: How many of the kept maps to use, the coarsest ones; all of them where it is None. Fewer are faster.
        mean: Channel means with which the images were normalised; kept here for whoever prepares images.
        std: Channel standard deviations, likewise.
        drop_path: Stochastic depth at the deepest block, rising linearly from 0; larger regularises more.
        map_scale: The maps are multiplied by it. Temporal integration normalises features and displacements together: beside
            features of the order of 10, as some models' are, displacements of some hundredths drown.
        arguments: Further arguments for the timm model.

    Attributes:
        channels: Channels of each scale.
        strides: Stride of each scale; 16, whose grid it gets, for the one scale of a model with one stride.
        image_size: (height, width) of the images.

    Raises:
        InputError: timm has no such model, the weights cannot be had or do not fit, or no map has a wanted stride.
    """

    def __init__(
        self,
        model: str,
        image_size: Sequence[int] = (224, 672),
        pretrained: bool = False,
        weights: str | Path | Mapping[str, Tensor] | None = None,
        strides: Sequence[int] = STRIDES,
        scales: int | None = None,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
        drop_path: float = 0.0,
        map_scale: float = 1.0,
        **arguments: Any,
    ) -> None:
        super().__init__()
        self.map_scale = float(map_scale)
        if drop_path:
            arguments["drop_path_rate"] = drop_path
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        with torch.device("meta"):
            info: Any = _create(model, self.image_size, features_only=True, **arguments).feature_info
        chosen = choose_maps(info.reduction(), strides, scales, model)
        indices = tuple(info.out_indices[i] for i in chosen)
        self.net = _create(model, self.image_size, features_only=True, out_indices=indices, **arguments)
        if pretrained or weights is not None:
            fill(self.net, load_whole_model(model, self.image_size, weights, **arguments), model)
        self.channels_last = str(getattr(self.net, "output_fmt", "NCHW")).endswith("NHWC")
        self.strides = (16,) if len(set(info.reduction())) == 1 else tuple(info.reduction()[i] for i in chosen)
        self.channels = tuple(m.shape[1] for m in self._dry_run(model))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of images.

        Args:
            images: (F, 3, H, W), normalised.

        Returns:
            One (F, C_s, h_s, w_s) map per scale, finest first.
        """
        maps = self.net(images)
        maps = [m.permute(0, 3, 1, 2) for m in maps] if self.channels_last else list(maps)
        return maps if self.map_scale == 1 else [m * self.map_scale for m in maps]

    @torch.no_grad()
    def _dry_run(self, model: str) -> list[Tensor]:
        """Maps of one black image: finds out the channels, and whether the model takes images of this size at all."""
        mode = self.training
        self.eval()
        try:
            return self(torch.zeros(1, 3, *self.image_size))
        except (RuntimeError, AssertionError, ValueError) as error:
            size = f"{self.image_size[0]}x{self.image_size[1]}"
            raise InputError(
                f"timm's model '{model}' does not take images of {size} ({first_line(error)})",
                expected="an image size the model can divide into its patches and windows",
                hint="Change image_size, most models want a multiple of 32",
            ) from error
        finally:
            self.train(mode)


def choose_maps(reductions: Sequence[int], strides: Sequence[int], scales: int | None, model: str) -> list[int]:
    """Indices of the maps to use, finest first: the last at each wanted stride, or the last of all if they share one.

    Raises:
        InputError: No map has a wanted stride, or there are fewer than ``scales``.
    """
    if len(set(reductions)) == 1:
        chosen = [len(reductions) - 1]
    else:
        last = {stride: i for i, stride in enumerate(reductions)}
        chosen = [last[stride] for stride in sorted(strides) if stride in last]
    if not chosen:
        raise InputError(
            f"no feature map of '{model}' has a wanted stride, they have {sorted(set(reductions))}",
            expected=f"a map at one of {list(strides)}",
            hint="Choose another visual encoder or strides",
        )
    if scales is not None and not 1 <= scales <= len(chosen):
        raise InputError(f"scales={scales} was asked of '{model}'", expected=f"1 to {len(chosen)}, or null for all")
    return chosen if scales is None else chosen[-scales:]


def load_whole_model(
    model: str, image_size: tuple[int, int], weights: str | Path | Mapping[str, Tensor] | None, **arguments: Any
) -> nn.Module:
    """The whole timm classifier with weights from the hub, a file or a state dict; every tensor must find its place.

    Raises:
        InputError: The weights cannot be had or do not fit.
    """
    file = weights if isinstance(weights, str | Path) else None
    tensors = read_weights(weights) if isinstance(weights, str | Path) else weights
    overlay = {} if tensors is None else {"state_dict": dict(tensors)}
    try:
        with hub(needed=not overlay):
            try:
                return _create(model, image_size, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
            except RuntimeError:  # a head that fits one image size only; the extractor does not need it
                return timm.create_model(model, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
    except InputError:
        raise
    except Exception as error:
        if overlay:
            raise InputError(
                f"the weights do not fit timm's '{model}' ({first_line(error)})",
                file=file,
                expected="exactly the tensors of that model, its classifier included",
                hint="Choose the model that the weights were made with, or pretrained: false",
            ) from error
        raise InputError(
            f"timm's published weights of '{model}' cannot be had ({first_line(error)})", hint=_where_to_fetch(model)
        ) from error


def _where_to_fetch(model: str) -> str:
    cfg = timm.get_pretrained_cfg(model)
    source = address(cfg.hf_hub_id) if cfg and cfg.hf_hub_id else cfg.url if cfg and cfg.url else None
    if source is None:
        return "There are none: set visual.pretrained=false, or visual.weights=FILE"
    return (
        f"Fetch model.safetensors (or pytorch_model.bin) from {source} on another machine, put it anywhere here "
        "and set visual.weights=FILE; or set visual.pretrained=false"
    )


def fill(net: nn.Module, whole: nn.Module, model: str) -> None:
    """Copy a whole model's tensors into its feature extractor, whose modules timm has renamed.

    It flattens ``layers.0.x`` to ``layers_0.x`` or puts everything under ``model.``; a tensor that finds no source is
    an error, never left at random.

    Raises:
        InputError: A tensor of the extractor has no counterpart.
    """
    source = {name.replace(".", "_"): tensor for name, tensor in whole.state_dict().items()}
    filled, missing = {}, []
    for name, tensor in net.state_dict().items():
        flat = name.removeprefix("model.").replace(".", "_")
        if flat in source and source[flat].shape == tensor.shape:
            filled[name] = source[flat]
        else:
            missing.append(name)
    if missing:
        raise InputError(
            f"the pretrained weights of '{model}' leave {len(missing)} tensors of the encoder at "
            f"random, such as {missing[0]}",
            hint="Choose another visual encoder, or pretrained: false",
        )
    net.load_state_dict(filled)


def _create(model: str, image_size: tuple[int, int], **arguments: Any) -> nn.Module:
    """``timm.create_model``, telling the image size to the models that must know it."""
    if ":" not in model and not timm.is_model(model):  # hf-hub:owner/name and local-dir:PATH are timm's too
        names = difflib.get_close_matches(model.split(".")[0], timm.list_models(), n=5)
        raise InputError(
            f"timm has no model '{model}'",
            expected="a name of timm.list_models()",
            hint=f"Close names: {', '.join(names)}" if names else None,
        )
    try:
        with hub(needed=":" in model) if not arguments.get("pretrained") else nullcontext():
            try:
                return timm.create_model(model, img_size=image_size, **arguments)
            except TypeError as error:
                if "img_size" not in str(error):
                    raise
                return timm.create_model(model, **arguments)
    except TypeError as error:
        raise InputError(
            f"timm's model '{model}' does not take an argument ({first_line(error)})",
            hint="Remove it from the visual encoder's configuration",
        ) from error
    except Exception as error:
        if arguments.get("pretrained"):
            raise
        raise InputError(
            f"timm cannot build '{model}' for images of {image_size[0]}x{image_size[1]} ({first_line(error)})",
            expected="a model with feature maps, in reach, that takes such images",
            hint="Choose another visual encoder or image_size",
        ) from error
