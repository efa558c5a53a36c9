"""RoPE-Swin: golden values, the shift rule, rotary attention, original weights."""

import math

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock

from flexhook.encoders.rope_swin import RopeSwinEncoder, RotaryWindowAttention, original_name, rotate
from flexhook.encoders.swin import SwinEncoder
from flexhook.errors import InputError

TINY = {"embed_dim": 16, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)}


def tiny(image_size=(64, 192), **arguments):
    torch.manual_seed(0)
    return RopeSwinEncoder(image_size, **TINY, **arguments).eval()


def shifts(encoder):
    return [m.shift_size for m in encoder.net.modules() if isinstance(m, SwinTransformerBlock)]


def test_four_scales_at_any_multiple_of_32():
    for size in ((64, 192), (96, 160), (64, 32), (32, 32)):
        encoder = tiny(size)
        maps = encoder(torch.zeros(1, 3, *size))
        assert encoder.channels == (16, 32, 64, 128)
        assert [tuple(m.shape) for m in maps] == [
            (1, 16 * 2**s, size[0] // (4 * 2**s), size[1] // (4 * 2**s)) for s in range(4)
        ]


def test_window_is_image_height_over_32_and_the_smallest_map_is_not_shifted():
    assert shifts(tiny((224, 672))) == [(0, 0), (3, 3)] * 3 + [(0, 0), (0, 0)]
    assert shifts(tiny((128, 384))) == [(0, 0), (2, 2)] * 3 + [(0, 0), (0, 0)]


def test_a_map_smaller_than_the_window_has_square_windows_of_its_smaller_side_and_no_shift():
    """As the original code; timm would cut the window side by side (here 7x14 in the last map)."""
    blocks = [m for m in tiny((224, 672), window_size=14).modules() if isinstance(m, SwinTransformerBlock)]
    assert [b.window_size for b in blocks[::2]] == [(14, 14), (14, 14), (14, 14), (7, 7)]
    assert [b.shift_size for b in blocks[1::2]] == [(7, 7), (7, 7), (0, 0), (0, 0)]
    assert blocks[-1].attn.column.shape == (49,)
    narrow = tiny((128, 64))  # maps 32x16, 16x8, 8x4, 4x2
    assert [b.window_size for b in narrow.modules() if isinstance(b, SwinTransformerBlock)][-1] == (2, 2)
    assert narrow(torch.zeros(1, 3, 128, 64))[3].shape == (1, 128, 4, 2)


def test_windows_of_the_last_stage_do_not_see_each_other():
    encoder = tiny((64, 192))  # last map 2x6, window 2
    x = torch.randn(1, 4, 12, 64)
    y = x.clone()
    y[:, :, :4] += torch.randn(1, 4, 4, 64)  # the first window after downsampling
    with torch.no_grad():
        changed = (encoder.net.layers[3](x) - encoder.net.layers[3](y)).abs().amax((0, 1, 3))
    assert (changed[:2] > 1e-3).all()
    assert changed[2:].max() == 0


def test_swin_keeps_its_own_window_and_the_original_shift_rule():
    encoder = SwinEncoder(image_size=(224, 672))
    assert shifts(encoder) == [(0, 0), (3, 3)] * 5 + [(0, 0), (0, 0)]


def test_rotation_of_pairs():
    angle = torch.tensor([[[math.pi / 2, 0.5]]])
    out = rotate(torch.tensor([[[1.0, 0.0, 3.0, 4.0]]]), angle.cos(), angle.sin())
    expected = [0.0, 1.0, 3 * math.cos(0.5) - 4 * math.sin(0.5), 3 * math.sin(0.5) + 4 * math.cos(0.5)]
    assert torch.allclose(out, torch.tensor([[expected]]), atol=1e-6)


def test_attention_logits_depend_on_relative_positions_only():
    encoder = tiny()
    attention = next(m for m in encoder.modules() if isinstance(m, RotaryWindowAttention))
    q, k = torch.randn(16), torch.randn(16)

    def logit(xq, yq, xk, yk):
        def turned(v, x, y):
            fx, fy = attention.rope_freqs.detach()
            angle = (fx * x + fy * y)[:, None]
            return rotate(v[None, None], angle.cos(), angle.sin())

        return (turned(q, xq, yq) * turned(k, xk, yk)).sum()

    assert torch.allclose(logit(0, 0, 1, 2), logit(3, 4, 4, 6), atol=1e-5)
    assert not torch.allclose(logit(0, 0, 1, 2), logit(0, 0, 2, 1), atol=1e-3)


def test_every_parameter_is_trained_and_float64_works():
    encoder = tiny().double().train()
    sum(m.square().mean() for m in encoder(torch.randn(1, 3, 64, 192, dtype=torch.float64))).backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_stochastic_depth_rises_linearly_to_the_deepest_block():
    encoder = RopeSwinEncoder((64, 192), **TINY, drop_path=0.14)
    rates = [getattr(m.drop_path1, "drop_prob", 0.0) for m in encoder.modules() if isinstance(m, SwinTransformerBlock)]
    assert rates == pytest.approx([0.02 * i for i in range(8)])


def imagenet_file(path, encoder):
    """What the original code saves: its naming, a classifier, derived buffers, a yacs configuration."""
    from yacs.config import CfgNode

    state = {original_name(k): v + 1 for k, v in encoder.state_dict().items() if k != "absolute_pos_embed"}
    state |= {"norm.weight": torch.ones(128), "norm.bias": torch.ones(128), "head.weight": torch.ones(1000, 128)}
    state |= {"layers.0.blocks.1.attn_mask": torch.zeros(9, 49, 49), "layers.0.blocks.0.attn.rope_t_x": torch.zeros(49)}
    torch.save({"model": state, "config": CfgNode({"MODEL": CfgNode({"NAME": "rope"})}), "epoch": 299}, path)
    return state


def test_original_imagenet_weights_load_and_the_absolute_embedding_starts_random(tmp_path):
    state = imagenet_file(tmp_path / "w.pth", tiny())
    encoder = tiny(weights=tmp_path / "w.pth")
    ours = encoder.state_dict()
    assert all(torch.equal(ours[k], state[original_name(k)]) for k in ours if k != "absolute_pos_embed")
    assert torch.equal(ours["net.layers.1.downsample.norm.weight"], state["layers.0.downsample.norm.weight"])
    assert encoder.absolute_pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    assert encoder.absolute_pos_embed.abs().max() < 0.2


@pytest.mark.parametrize("change", ["missing", "left over", "another shape"])
def test_wrong_imagenet_weights_are_refused(tmp_path, change):
    state = imagenet_file(tmp_path / "w.pth", tiny())
    if change == "missing":
        del state["layers.2.blocks.1.attn.rope_freqs"]
    elif change == "left over":
        state["layers.4.extra"] = torch.zeros(1)
    else:
        state["patch_embed.proj.weight"] = torch.zeros(8, 3, 4, 4)
    torch.save({"model": state}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=rf"w\.pth: 1 tensors .*{change}"):
        tiny(weights=tmp_path / "w.pth")


def test_bad_sizes_are_told(no_hub):
    with pytest.raises(InputError, match="multiples of 32"):
        tiny((100, 300))
    with pytest.raises(InputError, match="scales=5"):
        tiny(scales=5)
    with pytest.raises(InputError, match=r"Fetch model\.safetensors from https://huggingface\.co/naver-ai/x .*visual\.weights"):
        tiny(pretrained="naver-ai/x")


def test_fewer_scales_keep_the_coarsest():
    encoder = tiny(scales=2)
    assert encoder.channels == (64, 128)
    assert encoder.strides == (16, 32)
    assert [m.shape[1] for m in encoder(torch.zeros(1, 3, 64, 192))] == [64, 128]


@pytest.mark.parametrize(("strides", "scales", "stages", "channels"), [
    ((8, 16, 32), None, 4, (32, 64, 128)),  # as the synthetic experiments ask
    ((8, 16, 32), 2, 4, (64, 128)),
    ((4, 8), None, 2, (16, 32)),  # nothing behind the last map is kept, computed or trained
])
def test_maps_are_kept_from_the_wanted_strides(strides, scales, stages, channels):
    encoder, image = tiny(strides=strides, scales=scales), torch.rand(1, 3, 64, 192)
    assert encoder.channels == channels
    assert encoder.strides == tuple(strides[-len(channels):])
    assert len(encoder.net.layers) == stages
    whole = dict(zip((4, 8, 16, 32), tiny()(image), strict=True))
    assert all(torch.equal(got, whole[s]) for got, s in zip(encoder(image), encoder.strides, strict=True))


def test_weights_of_the_whole_model_fill_one_that_ends_early(tmp_path):
    whole = tiny()
    torch.save({"model": {original_name(k): v for k, v in whole.state_dict().items()}}, tmp_path / "w.pth")
    image = torch.rand(1, 3, 64, 192)
    assert torch.equal(tiny(strides=(8,), weights=tmp_path / "w.pth")(image)[0], whole(image)[1])
    with pytest.raises(InputError, match=r"no feature map of 'RoPE-Swin' has a wanted stride"):
        tiny(strides=(64,))
