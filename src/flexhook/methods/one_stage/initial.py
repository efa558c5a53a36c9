"""Initial weights from a COCO Deformable DETR with iterative box refinement, in its original names or transformers'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from flexhook.encoders.hub import fetch
from flexhook.encoders.weight_files import read_weights
from flexhook.errors import InputError
from flexhook.methods.one_stage.network import OneStageNetwork

PERSON = 1
"""Row of the class heads that a head of one output begins with."""
_DECODER = r"model\.decoder\.layers\.(\d+)\."
#: Names of transformers, and those that a network has.
TRANSFORMERS = (
    (r"^model\.backbone\.conv_encoder\.model\.", "visual.net."),
    (r"^model\.input_proj\.", "input_proj."),
    (r"^model\.query_position_embeddings\.", "query_embed."),
    (r"^model\.(level_embed|reference_points)", r"transformer.\1"),
    (rf"^{_DECODER}encoder_attn\.", r"transformer.decoder.layers.\1.cross_attn."),
    (rf"^{_DECODER}encoder_attn_layer_norm\.", r"transformer.decoder.layers.\1.norm1."),
    (rf"^{_DECODER}self_attn_layer_norm\.", r"transformer.decoder.layers.\1.norm2."),
    (rf"^{_DECODER}final_layer_norm\.", r"transformer.decoder.layers.\1.norm3."),
    (r"^model\.encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"transformer.encoder.layers.\1.norm1."),
    (r"^model\.encoder\.layers\.(\d+)\.final_layer_norm\.", r"transformer.encoder.layers.\1.norm2."),
    (r"^model\.(encoder|decoder)\.layers\.(\d+)\.(?:mlp\.)?fc(\d)\.", r"transformer.\1.layers.\2.linear\3."),
    (rf"^{_DECODER}self_attn\.o(?:ut)?_proj\.", r"transformer.decoder.layers.\1.self_attn.out_proj."),
    (r"^model\.(encoder|decoder)\.layers\.", r"transformer.\1.layers."),
)
ORIGINAL = ((r"^backbone\.0\.body\.", "visual.net."),)


def load_initial(network: OneStageNetwork, source: str) -> tuple[int, list[str]]:
    """Put the weights of a detector into a network; what the detector has not, or in another shape, stays as it is.

    Args:
        network: The network.
        source: A file of weights, a folder of transformers, or a name on the hub.

    Returns:
        How many tensors were taken, and the names of those that stayed, encoders of text left out.

    Raises:
        InputError: The weights cannot be had, or are none of a Deformable DETR.
    """
    path = Path(source).expanduser()
    weights = read_weights(path if path.exists() else fetch(source, "model.safetensors", "method.initial"))
    found, state = rename(weights), network.state_dict()
    for name in [n for n in found if re.match(r"class_embed\.\d+\.", n)]:
        found[name] = found[name][PERSON : PERSON + 1] if len(found[name]) > PERSON else found[name]
    taken = {k: v.to(state[k].dtype) for k, v in found.items() if k in state and state[k].shape == v.shape}
    if not any(k.startswith("transformer.encoder.") for k in taken):
        raise InputError("no tensor of the transformer fits the network's", file=source,
                         expected="a Deformable DETR with box refinement, of the network's width")
    network.load_state_dict(taken, strict=False)
    return len(taken), sorted(k for k in state if k not in taken and not k.startswith("text."))


def rename(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A detector's tensors under a network's names."""
    theirs = any(name.startswith("model.decoder.layers.") for name in weights)
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        for pattern, new in TRANSFORMERS if theirs else ORIGINAL:
            changed = re.sub(pattern, new, name)
            if changed != name:
                name = changed
                break
        renamed[name] = tensor
    for prefix in sorted({n.rpartition("q_proj.")[0] for n in renamed if n.endswith("self_attn.q_proj.weight")}):
        for kind in ("weight", "bias"):
            parts = [renamed.pop(f"{prefix}{p}_proj.{kind}") for p in "qkv"]
            renamed[f"{prefix}in_proj_{kind}"] = torch.cat(parts)
    return renamed
