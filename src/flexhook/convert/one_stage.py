"""TransRMOT and TempRMOT: what model a published checkpoint holds, and its tensors under our names and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flexhook.convert.architecture import infer_resnet, infer_text, read_json
from flexhook.convert.published import Mapped
from flexhook.errors import ConfigError, InputError
from flexhook.methods.one_stage.fusion import HEADS
from flexhook.methods.one_stage.network import LEVELS, OneStageNetwork
from flexhook.methods.temprmot.network import TempRMOT
from flexhook.methods.transrmot.network import TransRMOT

ENCODERS = (("visual.net.", "backbone.0.body."), ("text.net.", "text_encoder."))
"""Our prefix and the published one; all other names are the same."""
TWICE = "transformer.decoder.bbox_embed."
"""Published files hold the box heads under this name too."""
UNUSED = re.compile(r"text_encoder\.(pooler\.|embeddings\.(position_ids|token_type_ids)$)")
"""Of the text encoder, what has no part in its last hidden state."""
#: Entries of a ``config.json`` that have one legal value.
FIXED = {"feature_levels": LEVELS, "num_classes": 1, "fusion_heads": HEADS, "qim_heads": HEADS, "temporal_heads": HEADS}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TEXT_LENGTH = 512
"""Sentences are not truncated: RoBERTa has no more positions."""
NAMES = {  # of config.json, and of the network's arguments
    "d_model": "width", "nheads": "heads", "enc_layers": "encoder_layers", "dec_layers": "decoder_layers",
    "enc_points": "encoder_points", "dec_points": "decoder_points", "ffn": "ffn", "num_queries": "num_queries",
}  # fmt: skip


@dataclass(frozen=True)
class OneStageArchitecture:
    """The sizes that tell one model from another.

    Attributes:
        sizes: Arguments of the network.
        channels: Channels of the visual encoder's three maps.
        text_width: Width of the text encoder.
        temporal: The memory's arguments (TempRMOT); None for TransRMOT.
    """

    sizes: Mapping[str, Any]
    channels: tuple[int, ...]
    text_width: int
    temporal: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The method's name."""
        return "transrmot" if self.temporal is None else "temprmot"

    def encoders(self, state: Mapping[str, Tensor], file: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The groups ``visual`` and ``text`` of a configuration, with random weights, read off a state dict.

        Raises:
            InputError: The encoders are not ResNet-50 and RoBERTa or BERT.
        """
        kind = infer_resnet({k.replace("backbone.0.body.", "backbone."): v for k, v in state.items()}, file)
        visual = {"_target_": "flexhook.encoders.visual.TimmVisualEncoder", "model": kind, "pretrained": False,
                  "weights": None, "strides": [8, 16, 32], "mean": list(MEAN), "std": list(STD)}  # fmt: skip
        return visual, infer_text(state, TEXT_LENGTH, file)

    def build(self, visual: Any, text: Any, **options: Any) -> OneStageNetwork:
        """The network with random weights.

        Args:
            visual: Visual encoder with these channels.
            text: Text encoder of this width.
            options: Further arguments of the network.

        Raises:
            InputError: A size is not one the network can have.
        """
        kind: Any = TransRMOT if self.temporal is None else TempRMOT
        try:
            return kind(visual, text, **self.sizes, **(self.temporal or {}), **options)
        except (ConfigError, TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError) as error:
            raise InputError(f"no model has the described sizes ({error})", expected="sizes as in config.json") from error

    @classmethod
    def from_json(cls, file: Path, state: Mapping[str, Tensor]) -> OneStageArchitecture:
        """From the ``config.json`` of a golden folder; the state dict tells the method and the extra attention.

        Raises:
            InputError: The file is missing or no JSON, or an entry is missing or has no legal value.
        """
        values = read_json(file)
        wanted = [*NAMES, "channels", "text_width"]
        missing = [name for name in wanted if name not in values]
        if missing:
            raise InputError(f"there is no '{missing[0]}' in it", file=file, expected=", ".join(wanted))
        for name, value in FIXED.items():
            if values.get(name, value) != value:
                raise InputError(f"{name} is {values[name]}", file=file, expected=str(value))
        sizes = {ours: values[theirs] for theirs, ours in NAMES.items()}
        sizes["track_attention"] = has_track_attention(state)
        temporal = None
        if is_temporal(state):
            history = values.get("hist_len", 4)
            temporal = {"train_history": history, "test_history": history}
            temporal |= {k: values[k] for k in ("temporal_layers", "temporal_ffn") if k in values}
        return cls(sizes, tuple(values["channels"]), values["text_width"], temporal)

    @classmethod
    def infer(cls, state: Mapping[str, Tensor], file: str | None = None) -> tuple[OneStageArchitecture, list[str]]:
        """Read the sizes off a published state dict, and what had to be assumed.

        Raises:
            InputError: A tensor that tells a size is missing or has another number of dimensions.
        """

        def shape(name: str, dimensions: int) -> tuple[int, ...]:
            found = tuple(state[name].shape) if name in state else None
            if found is None or len(found) != dimensions or not all(found):
                raise InputError(f"the tensor {name} is {'missing' if found is None else f'of shape {found}'}", file=file,
                                 expected="the tensors of a published checkpoint")
            return found

        heads = 8
        encoder, decoder = "transformer.encoder.layers", "transformer.decoder.layers"
        weights = {"encoder_points": f"{encoder}.0.self_attn", "decoder_points": f"{decoder}.0.cross_attn"}
        points = {k: shape(f"{v}.attention_weights.bias", 1)[0] // (heads * LEVELS) for k, v in weights.items()}
        sizes = {
            "width": shape("transformer.level_embed", 2)[1], "heads": heads,
            "encoder_layers": _count(state, encoder), "decoder_layers": _count(state, decoder), **points,
            "ffn": shape(f"{encoder}.0.linear1.weight", 2)[0], "num_queries": shape("query_embed.weight", 2)[0],
            "track_attention": has_track_attention(state),
        }  # fmt: skip
        temporal = None
        if is_temporal(state):
            layers = "STReasoner.hist_transformer.layers"
            temporal = {"temporal_layers": _count(state, layers), "temporal_ffn": shape(f"{layers}.0.linear1.weight", 2)[0]}
        channels = tuple(shape(f"input_proj.{k}.0.weight", 4)[1] for k in range(LEVELS - 1))
        notices = [f"attention heads are not in the file: {heads} assumed"]
        return cls(sizes, channels, shape("txt_proj.fc.weight", 2)[1], temporal), notices


def is_one_stage(state: Mapping[str, Tensor]) -> bool:
    """Whether a published state dict is one of TransRMOT or TempRMOT."""
    return {"query_embed.weight", "transformer.reference_points.weight", "txt_proj.fc.weight"} <= state.keys()


def is_temporal(state: Mapping[str, Tensor]) -> bool:
    """Whether it is TempRMOT's."""
    return any(name.startswith("STReasoner.") for name in state)


def has_track_attention(state: Mapping[str, Tensor]) -> bool:
    """Whether it holds the extra attention among tracks. The published test scripts add it at random where it does not."""
    return any(".update_attn." in name for name in state)


def published_name(name: str) -> str:
    """The published name of one of a network's tensors."""
    return next((theirs + name.removeprefix(ours) for ours, theirs in ENCODERS if name.startswith(ours)), name)


def from_published(network: OneStageNetwork, published: Mapping[str, Tensor], file: str | None = None) -> Mapped:
    """A state dict for a network from published tensors, every one of them accounted for.

    Raises:
        InputError: A tensor is missing, left over or of the wrong shape, or the two copies of the box heads differ.
    """
    mapped, wrong, state = Mapped(), [], network.state_dict()
    names = {ours: published_name(ours) for ours in state}
    again = {TWICE + name.removeprefix("bbox_embed."): name for name in names.values() if name.startswith("bbox_embed.")}
    given = {again[k]: v for k, v in published.items() if k in again and again[k] not in published} | dict(published)
    unused = [k for k in published if UNUSED.match(k)]
    refuse([k for k in names.values() if k not in given], "missing", file)
    refuse([k for k in published if k not in {*names.values(), *again, *unused}], "left over", file)
    refuse([k for k, v in again.items() if k in published and not torch.equal(published[k], given[v])],
           "copies that differ from the box heads", file)
    for ours, theirs in names.items():
        if given[theirs].shape != state[ours].shape:
            wrong.append(f"{theirs} {tuple(given[theirs].shape)} for {tuple(state[ours].shape)}")
            continue
        mapped.state[ours] = given[theirs].contiguous()
        mapped.pairs.append((theirs, ours))
    refuse(wrong, "of the wrong shape", file)
    copies = sum(k in published for k in again)
    if copies:
        mapped.notices.append(f"{copies} copies of the box heads ({TWICE}*) agree and are not stored")
    if unused:
        mapped.notices.append(f"{len(unused)} tensors have no part in the words' features and are not stored: "
                              + ", ".join(unused))
    return mapped


def to_published(network: OneStageNetwork) -> Mapped:
    """A network's state dict under the published names, the box heads under both of theirs."""
    mapped = Mapped()
    for ours, tensor in network.state_dict().items():
        theirs = published_name(ours)
        mapped.state[theirs] = tensor
        mapped.pairs.append((ours, theirs))
    copies = {TWICE + k.removeprefix("bbox_embed."): v for k, v in mapped.state.items() if k.startswith("bbox_embed.")}
    mapped.state |= copies
    mapped.notices.append(f"{len(copies)} copies of the box heads ({TWICE}*) added")
    return mapped


def refuse(names: list[str], what: str, file: str | None) -> None:
    """Refuse tensors.

    Raises:
        InputError: There are some.
    """
    if names:
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise InputError(f"{len(names)} tensors are {what}: {', '.join(names[:10])}{more}", file=file,
                         expected="exactly the tensors of TransRMOT or TempRMOT with these encoders")


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({m[1] for name in state if (m := re.match(rf"{re.escape(prefix)}\.(\d+)\.", name))})
