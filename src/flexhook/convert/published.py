"""A model's tensors under the names of the authors' checkpoints, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flexhook.convert.encoder_names import derived_buffers, index_buffers, text_names, visual_names
from flexhook.errors import InputError

# Of everything but the encoders: the pattern of our name, the published one.
RULES = (
    (r"^text_position$", "absolute_lang_pos_embed"),
    (r"^hook\.conditioning\.queries$", "conditional_pos_embed"),
    (r"^hook\.conditioning\.blocks\.", "conditional_pos_decoder."),
    (r"^hook\.conditioning\.coordinate\.", "conditional_pos_projector."),
    (r"^hook\.conditioning\.norm\.", "conditional_f_norm."),
    (r"^hook\.conditioning\.mlp\.", "conditional_f_proj."),
    (r"^temporal\.norm\.", "output_obj_norm_ped."),
    (r"^temporal\.mlp\.", "output_proj_ped."),
    (r"^temporal\.reduction\.", "objf_resid_down."),
    (r"^decoder\.box_embedding$", "init_embeds"),
    (r"^decoder\.blocks\.", "output_ca_qkv."),
    (r"^decoder\.heads\.", "head."),
    (r"\.(w[qkvo])\.", r".attention.\1."),
    (r"\.(linear_[12])\.", r".feed_forward.\1."),
)
# Dimensions of size one that the published tensors have in addition.
EXTRA_DIMENSION = {"absolute_lang_pos_embed": 0, "conditional_pos_embed": 0, "init_embeds": 1}
TEXT_POSITION = "absolute_lang_pos_embed"


@dataclass
class Mapped:
    """Tensors that were renamed.

    Attributes:
        state: The tensors under their new names.
        pairs: (old name, new name) of each, in the model's order.
        notices: What was changed or left out on the way, for the reader.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def published_names(model: nn.Module) -> dict[str, str]:
    """Published name of every tensor of a :class:`~flexhook.methods.flexhook.network.FlexHook`, in its order.

    Raises:
        InputError: The model has a part that the published code has not.
    """
    visual, text = visual_names(model.visual), text_names(model.text)  # type: ignore[arg-type]
    names = {}
    for name in model.state_dict():
        part, _, rest = name.partition(".")
        if part == "visual":
            names[name] = f"backbone.{visual[rest]}"
        elif part == "text":
            names[name] = f"text_encoder.{text[rest]}"
        else:
            names[name] = _rename(name)
    return names


def from_published(model: nn.Module, published: Mapping[str, Tensor], file: str | None = None) -> Mapped:
    """A state dict for ``model`` from published tensors.

    Position vectors for another text length are interpolated linearly, with a notice. Derived buffers are compared.

    Args:
        model: The model that the tensors are for.
        published: Tensors under their published names.
        file: Where they came from, for messages.

    Raises:
        InputError: A tensor is missing, left over or of the wrong shape, or a derived buffer differs.
    """
    names, state = published_names(model), model.state_dict()
    derived = {f"backbone.{k}": v for k, v in derived_buffers(model.visual).items()}  # type: ignore[arg-type]
    derived |= {f"text_encoder.{k}": v for k, v in index_buffers(model.text).items()}  # type: ignore[arg-type]
    _refuse([k for k in names.values() if k not in published], "missing", file)
    _refuse([k for k in published if k not in set(names.values()) | set(derived)], "left over", file)
    mapped, wrong = Mapped(), []
    for ours, theirs in names.items():
        tensor, extra = published[theirs], EXTRA_DIMENSION.get(theirs)
        wanted = state[ours].shape if extra is None else state[ours].unsqueeze(extra).shape
        if theirs == TEXT_POSITION and tensor.ndim == 3 and tensor.numel() and tensor.shape[1] != wanted[1]:
            mapped.notices.append(f"{theirs}: {tensor.shape[1]} position vectors interpolated to {wanted[1]}")
            tensor = F.interpolate(tensor.transpose(1, 2), size=wanted[1], mode="linear").transpose(1, 2)
        if tensor.shape != wanted:
            wrong.append(f"{theirs} {tuple(published[theirs].shape)} for {tuple(wanted)}")
            continue
        mapped.state[ours] = (tensor if extra is None else tensor.squeeze(extra)).contiguous()
        mapped.pairs.append((theirs, ours))
    _refuse(wrong, "of the wrong shape", file)
    differing = [
        k
        for k, v in derived.items()
        if k in published and not (published[k].shape == v.shape and torch.equal(published[k].to(v), v))
    ]
    _refuse(differing, "derived and differ from what the model derives", file)
    present = sum(k in published for k in derived)
    if present:
        mapped.notices.append(f"{present} derived buffers (such as attn_mask, rope_t_x) agree and are not stored")
    return mapped


def to_published(model: nn.Module, state: Mapping[str, Tensor]) -> Mapped:
    """A model's state dict under the published names, derived buffers included.

    Args:
        model: The model that the state is of.
        state: Its tensors.

    Raises:
        InputError: The model has a part that the published code has not.
    """
    mapped = Mapped()
    for ours, theirs in published_names(model).items():
        extra = EXTRA_DIMENSION.get(theirs)
        mapped.state[theirs] = state[ours] if extra is None else state[ours].unsqueeze(extra)
        mapped.pairs.append((ours, theirs))
    derived = derived_buffers(model.visual)  # type: ignore[arg-type]
    mapped.state |= {f"backbone.{k}": v.clone() for k, v in derived.items()}
    if derived:
        mapped.notices.append(f"{len(derived)} derived buffers (attn_mask, rope_t_x, rope_t_y) added")
    return mapped


def _rename(name: str) -> str:
    new = name
    for pattern, replacement in RULES:
        new = re.sub(pattern, replacement, new)
    if new == name:
        raise InputError(f"the published code has no tensor like '{name}'", expected="the model of the paper")
    return new


def _refuse(names: list[str], what: str, file: str | None) -> None:
    if names:
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise InputError(
            f"{len(names)} tensors are {what}: {', '.join(names[:10])}{more}",
            file=file,
            expected="exactly the tensors of the model of the paper with these encoders",
        )
