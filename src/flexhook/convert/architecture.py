"""What model a checkpoint holds: as a golden folder's ``config.json`` says it, or read off the tensors' shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from torch import Tensor

from flexhook.configuration.stored_config import stored_config
from flexhook.configuration.trust import check_parts
from flexhook.encoders.text import KNOWN_CONFIGS
from flexhook.encoders.visual import CLIP_MEAN, CLIP_STD
from flexhook.errors import InputError
from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
from flexhook.methods.flexhook.hook import CHook
from flexhook.methods.flexhook.network import FlexHook
from flexhook.methods.flexhook.temporal import TemporalIntegration
from flexhook.structures.files import read_json

RESNETS = {"resnet18": "resnet18", "resnet34": "resnet34", "resnet50": "resnet50", "clip_rn50": "resnet50_clip_gap"}
#: Numbers of each size that a file may set, and their types.
_FORMS: dict[str, tuple[int, tuple[type, ...]]] = {
    "image_size": (2, (int,)), "text_length": (1, (int,)), "window_frames": (1, (int,)), "num_reference_points": (1, (int,)),
    "attention_heads": (1, (int,)), "grid": (2, (int,)), "norm_mean": (3, (int, float)), "norm_std": (3, (int, float)),
}  # fmt: skip
RESNET_BLOCKS = {(2, 2, 2, 2): "resnet18", (3, 4, 6, 3): "resnet34"}


@dataclass(frozen=True)
class Architecture:
    """Everything that tells one model of the paper from another; the names are those of ``config.json``.

    Attributes:
        visual: ``type`` (``rope_swin``, ``resnet18``, ``resnet34``, ``resnet50``, ``clip_rn50``) and sizes.
        text: ``type`` (``roberta``, ``bert``, ``clip``) and sizes.
        image_size: (height, width).
        text_length: L.
        window_frames: T.
        num_reference_points: M; 0 leaves the conditioning out.
        attention_heads: Heads of the decoder and the conditioning.
        grid: (h, w) grid points in a box at the finest scale.
        norm_mean: Channel means.
        norm_std: Channel standard deviations.
    """

    visual: Mapping[str, Any]
    text: Mapping[str, Any]
    image_size: tuple[int, int] = (224, 672)
    text_length: int = 25
    window_frames: int = 4
    num_reference_points: int = 10
    attention_heads: int = 8
    grid: tuple[int, int] = (16, 48)
    norm_mean: tuple[float, ...] = CLIP_MEAN
    norm_std: tuple[float, ...] = CLIP_STD

    @classmethod
    def from_json(cls, file: Path) -> Architecture:
        """From a ``config.json``; entries that do not describe the model are left alone.

        Raises:
            InputError: The file is missing, no JSON, lacks the encoders, or sets of one what a file may not set.
        """
        values = read_json(file, expected="names and values in braces")
        for part in ("visual", "text"):
            if not isinstance(values.get(part), dict) or "type" not in values[part]:
                raise InputError(f"there is no '{part}' with a 'type' in it", file=file, expected="both encoders")
        fields = cls.__dataclass_fields__
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in fields}
        stored_config({k: v for k, v in values.items() if k in fields}, file)  # plain values, no interpolation
        for name, (numbers, kinds) in _FORMS.items():
            found = known.get(name, getattr(cls, name))
            listed = found if isinstance(found, tuple) else (found,)
            if isinstance(found, tuple) != (numbers > 1) or len(listed) != numbers or not all(type(v) in kinds for v in listed):
                raise InputError(f"{name} is {values[name]!r}", file=file,
                                 expected="a number" if numbers == 1 else f"a list of {numbers} numbers")
        made = cls(**known)
        try:
            parts = {"visual": made.visual_config(), "text": made.text_config()}
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"the sizes of an encoder are malformed ({error})", file=file,
                             expected="those of an encoder of its type") from None
        check_parts(parts, ("visual", "text"), file)
        return made

    def visual_config(self) -> dict[str, Any]:
        """The ``visual`` group of a configuration, with random weights.

        Raises:
            InputError: The type is unknown, or a variant that does not exist here.
        """
        sizes = dict(self.visual)
        kind = sizes.pop("type")
        common = {"image_size": list(self.image_size), "pretrained": False, "weights": None,
                  "mean": list(self.norm_mean), "std": list(self.norm_std)}  # fmt: skip
        if kind in RESNETS:
            return {"_target_": "flexhook.encoders.visual.TimmVisualEncoder", "model": RESNETS[kind], **common}
        if kind != "rope_swin":
            raise InputError(f"the visual encoder is '{kind}'", expected=f"rope_swin, {', '.join(RESNETS)}")
        fixed = {"patch_size": 4, "rope_mixed": True, "relative_position_bias": False, "absolute_pos_embed": True}
        for name, value in fixed.items():
            if sizes.pop(name, value) != value:
                raise InputError(f"the visual encoder's {name} is {self.visual[name]}", expected=str(value))
        return {"_target_": "flexhook.encoders.rope_swin.RopeSwinEncoder", **sizes, **common}

    def text_config(self) -> dict[str, Any]:
        """The ``text`` group of a configuration, with random weights."""
        values = dict(self.text)
        kind = values.pop("type")
        common = {"length": self.text_length, "pretrained": False}
        if kind == "clip":
            return {"_target_": "flexhook.encoders.clip_text.ClipTextEncoder", **values, **common}
        target = "flexhook.encoders.text.TransformersTextEncoder"
        for name, known in KNOWN_CONFIGS.items():
            if known["model_type"] == kind and all(known.get(k, v) == v for k, v in values.items()):
                return {"_target_": target, **common, "model": name, "config": values}
        return {"_target_": target, **common, "model": kind, "config": {"model_type": kind, **values}}

    def build(self) -> FlexHook:
        """The model with random weights.

        Raises:
            InputError: A size is not one the model can have.
        """
        heads = self.attention_heads
        hook = partial(CHook, num_reference_points=self.num_reference_points, heads=heads, finest=self.grid)
        try:
            return FlexHook(
                _make(self.visual_config()),
                _make(self.text_config()),
                hook,
                TemporalIntegration,
                partial(PairwiseCorrespondenceDecoder, heads=heads),
                num_frames=self.window_frames,
                grid=self.grid,
            )
        except (TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError) as error:
            raise InputError(f"no model has the described sizes ({error})", expected="sizes as in config.json") from error


def _make(config: Mapping[str, Any]) -> Any:
    """The object that a configuration's ``_target_`` makes of its other entries."""
    return get_class(config["_target_"])(**{k: v for k, v in config.items() if k != "_target_"})


def infer(state: Mapping[str, Tensor], file: str | None = None) -> tuple[Architecture, list[str]]:
    """Read the architecture off a published state dict.

    Args:
        state: Tensors under their published names.
        file: Where they came from, for messages.

    Returns:
        The architecture, and what had to be assumed since the shapes do not say it.

    Raises:
        InputError: The encoders are not among the published ones.
    """
    notices = ["attention heads of the decoder are not in the file: 8 assumed"]
    text_length = _shape(state, "absolute_lang_pos_embed", "(1, L, D)", file)[1]
    rows = _shape(state, "init_embeds", "(4T, 1, D)", file)[0]
    if not rows or rows % 4:
        raise InputError(f"init_embeds has {rows} rows", file=file, expected="four for each frame of a window")
    visual, image_size = _visual(state, file)
    text = _text(state, file, notices)
    conditioned = any(name.startswith("conditional_") for name in state)
    points = _shape(state, "conditional_pos_embed", "(1, M, D)", file)[1] if conditioned else 0
    return Architecture(
        visual, text, image_size, text_length=text_length, window_frames=rows // 4, num_reference_points=points
    ), notices  # fmt: skip


def infer_resnet(state: Mapping[str, Tensor], file: str | None = None) -> str:
    """Name in timm of the ResNet in a published state dict.

    Raises:
        InputError: It is none.
    """
    kind = str(_visual(state, file)[0]["type"])
    if kind not in ("resnet18", "resnet34", "resnet50"):
        raise InputError(f"its backbone is {kind}", file=file, expected="ResNet-18, -34 or -50")
    return RESNETS[kind]


def infer_text(state: Mapping[str, Tensor], length: int, file: str | None = None) -> dict[str, Any]:
    """The ``text`` group of a configuration, with random weights, for the text encoder in a published state dict.

    Raises:
        InputError: It is none of the published ones.
    """
    positions = state.get("text_encoder.embeddings.position_embeddings.weight")
    limit = length if positions is None else min(length, len(positions) - 2)
    return Architecture({"type": "resnet50"}, _text(state, file, []), text_length=limit).text_config()


def _shape(state: Mapping[str, Tensor], name: str, expected: str, file: str | None) -> tuple[int, ...]:
    """Shape of a tensor from which a size is read off; ``expected`` has its number of dimensions, none of them empty."""
    if name not in state:
        raise InputError(f"1 tensors are missing: {name}", file=file, expected="the tensors of a published checkpoint")
    shape = tuple(state[name].shape)
    if len(shape) != expected.count(",") + 1 or not all(shape):
        raise InputError(f"1 tensors are of the wrong shape: {name} {shape}", file=file, expected=expected)
    return shape


def _visual(state: Mapping[str, Tensor], file: str | None) -> tuple[dict[str, Any], tuple[int, int]]:
    if any(name.endswith(".attn.rope_freqs") for name in state):
        _, patches, width = _shape(state, "backbone.absolute_pos_embed", "(1, patches, C)", file)
        height = 4 * math.isqrt(patches // 3)
        if (height // 4) * (3 * height // 4) != patches:
            raise InputError(
                f"{patches} positions are not those of an image three times as wide as high",
                file=file,
                hint="Describe the model with --architecture config.json",
            )
        stages = _count(state, r"backbone\.layers\.(\d+)\.")
        depths = [_count(state, rf"backbone\.layers\.{i}\.blocks\.(\d+)\.") for i in range(stages)]
        frequencies = "backbone.layers.{}.blocks.0.attn.rope_freqs"
        heads = [_shape(state, frequencies.format(i), "(2, heads, head width / 2)", file)[1] for i in range(stages)]
        return ({"type": "rope_swin", "embed_dim": width, "depths": depths, "num_heads": heads, "drop_path": 0.1},
                (height, 3 * height))  # fmt: skip
    if _has(state, "backbone.conv3.") or _has(state, "backbone.bn3."):
        return {"type": "clip_rn50"}, (224, 672)
    if _has(state, "backbone.layer4."):
        blocks = tuple(_count(state, rf"backbone\.layer{i}\.(\d+)\.") for i in range(1, 5))
        if _has(state, "backbone.layer1.0.conv3.") or _has(state, "backbone.layer4.0.conv3."):
            return {"type": "resnet50"}, (224, 672)
        if blocks in RESNET_BLOCKS:
            return {"type": RESNET_BLOCKS[blocks]}, (224, 672)
    raise InputError(
        "its backbone is none of the published ones", file=file, expected="RoPE-Swin, ResNet-18, -34, -50 or CLIP RN50"
    )


def _text(state: Mapping[str, Tensor], file: str | None, notices: list[str]) -> dict[str, Any]:
    if _has(state, "text_encoder.transformer.resblocks."):
        vocabulary, width = _shape(state, "text_encoder.token_embedding.weight", "(words, C)", file)
        heads = max(width // 64, 1)
        notices.append(f"attention heads of the text encoder are not in the file: {heads} assumed")
        return {
            "type": "clip", "width": width, "layers": _count(state, r"text_encoder\.transformer\.resblocks\.(\d+)\."),
            "heads": heads, "projection": _shape(state, "text_encoder.text_projection", "(C, D)", file)[1],
            "vocabulary": vocabulary, "context": _shape(state, "text_encoder.positional_embedding", "(positions, C)", file)[0],
        }  # fmt: skip
    embeddings = "text_encoder.embeddings."
    if not _has(state, embeddings):
        raise InputError("its text encoder is none of the published ones", file=file, expected="RoBERTa, BERT or CLIP's")
    vocabulary, width = _shape(state, f"{embeddings}word_embeddings.weight", "(words, D)", file)
    types = _shape(state, f"{embeddings}token_type_embeddings.weight", "(types, D)", file)[0]
    hidden = _shape(state, "text_encoder.encoder.layer.0.intermediate.dense.weight", "(hidden, D)", file)[0]
    positions = _shape(state, f"{embeddings}position_embeddings.weight", "(positions, D)", file)[0]
    heads = max(width // 64, 1)
    notices.append(f"attention heads of the text encoder are not in the file: {heads} assumed")
    kind = "roberta" if types == 1 else "bert"
    known = {k: v for c in KNOWN_CONFIGS.values() if c["model_type"] == kind for k, v in c.items() if "token_id" in k}
    return {
        "type": kind, "vocab_size": vocabulary, "hidden_size": width,
        "num_hidden_layers": _count(state, r"text_encoder\.encoder\.layer\.(\d+)\."), "num_attention_heads": heads,
        "intermediate_size": hidden, "max_position_embeddings": positions, "type_vocab_size": types,
        "layer_norm_eps": 1e-5 if kind == "roberta" else 1e-12, **known,
    }  # fmt: skip


def _has(state: Mapping[str, Tensor], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in state)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers the pattern's group takes among the names."""
    return len({m[1] for name in state if (m := re.match(pattern, name))})
