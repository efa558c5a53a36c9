"""Initial weights from a COCO Deformable DETR, in the names of transformers and in its own."""

import pytest
import torch
from overfit_clip import small_network
from safetensors.torch import save_file
from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection, ResNetConfig

from flexhook.errors import InputError
from flexhook.methods.one_stage.initial import load_initial, rename
from flexhook.methods.transrmot.network import TransRMOT


@pytest.fixture(scope="module")
def detector():
    """A tiny one with random weights and the network's sizes."""
    torch.manual_seed(1)
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 32, 48, 64], depths=[1, 1, 1, 1], layer_type="basic",
                            out_features=["stage2", "stage3", "stage4"])  # fmt: skip
    config = DeformableDetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
                                  backbone_config=backbone, d_model=64, encoder_layers=1, decoder_layers=2,
                                  encoder_attention_heads=4,
                                  decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, num_queries=8,
                                  num_labels=91, with_box_refine=True)  # fmt: skip
    return DeformableDetrForObjectDetection(config)


def test_every_tensor_of_the_transformer_finds_its_place(detector, tmp_path):
    state = {k: v.detach().clone().contiguous() for k, v in detector.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    network = small_network(TransRMOT)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    count, kept = load_initial(network, str(tmp_path))
    after = network.state_dict()
    trunk = ("transformer.", "input_proj.", "query_embed", "bbox_embed", "class_embed")
    assert count > 60 and not [k for k in kept if k.startswith(trunk)]
    assert torch.equal(after["class_embed.1.weight"], state["class_embed.1.weight"][1:2])
    decoder = "model.decoder.layers.1."
    assert torch.equal(after["transformer.decoder.layers.1.norm1.weight"], state[f"{decoder}encoder_attn_layer_norm.weight"])
    (second,) = (v for k, v in state.items() if k.startswith("model.encoder.layers.0.") and k.endswith("fc2.bias"))
    assert torch.equal(after["transformer.encoder.layers.0.linear2.bias"], second)
    joined = torch.cat([state[f"{decoder}self_attn.{p}_proj.bias"] for p in "qkv"])
    assert torch.equal(after["transformer.decoder.layers.1.self_attn.in_proj_bias"], joined)
    assert all(torch.equal(after[k], before[k]) for k in kept)
    assert {"refer_embed.0.weight", "track_embed.linear1.weight", "fusion_module.multihead_attn.in_proj_weight"} <= set(kept)


def test_something_else_is_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="no tensor of the transformer fits"):
        load_initial(small_network(TransRMOT), str(tmp_path))


def test_original_names():
    assert list(rename({"backbone.0.body.layer1.0.conv1.weight": torch.zeros(1), "class_embed.0.bias": torch.zeros(1)})) == [
        "visual.net.layer1.0.conv1.weight", "class_embed.0.bias"]
