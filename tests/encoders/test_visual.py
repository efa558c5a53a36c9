"""Any timm model with feature maps, by name."""

import pytest
import safetensors.torch
import timm
import torch

from flexhook.encoders.visual import TimmVisualEncoder, choose_maps
from flexhook.errors import InputError

SIZE = (64, 192)


@pytest.mark.parametrize(
    ("model", "strides", "channels"),
    [
        ("resnet18", (4, 8, 16, 32), (64, 128, 256, 512)),  # also has a map of stride 2, which is dropped
        ("tf_efficientnet_lite0", (4, 8, 16, 32), (24, 40, 112, 320)),  # its own feature class
        ("swin_tiny_patch4_window7_224", (4, 8, 16, 32), (96, 192, 384, 768)),  # channels last inside timm
        ("visformer_tiny", (8, 16, 32), (96, 192, 384)),  # fewer scales: the coarsest
        ("levit_128s", (16, 32), (128, 256)),  # also a map of stride 64, which is dropped
        ("vit_tiny_patch16_224", (16,), (192,)),  # all maps of one stride: the last
    ],
)
def test_sizes_are_found_out(model, strides, channels):
    encoder = TimmVisualEncoder(model, image_size=SIZE)
    maps = encoder(torch.randn(2, 3, *SIZE))
    assert encoder.strides == strides
    assert encoder.channels == channels
    assert [tuple(m.shape) for m in maps] == [
        (2, c, SIZE[0] // s, SIZE[1] // s) for s, c in zip(strides, channels, strict=True)
    ]


def test_one_scale_of_another_stride_gets_the_grid_of_stride_16():
    encoder = TimmVisualEncoder("vit_small_patch14_dinov2", image_size=(56, 168), depth=3)
    assert encoder.strides == (16,)
    assert encoder(torch.zeros(1, 3, 56, 168))[0].shape == (1, 384, 4, 12)


def test_every_parameter_is_used():
    for model in ("resnet18", "vit_tiny_patch16_224", "pvt_v2_b0"):
        encoder = TimmVisualEncoder(model, image_size=SIZE)
        sum(m.square().mean() for m in encoder(torch.randn(2, 3, *SIZE))).backward()
        assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


def test_fewer_scales_keep_the_coarsest():
    encoder = TimmVisualEncoder("resnet18", image_size=SIZE, scales=2)
    assert encoder.strides == (16, 32)
    assert len(encoder(torch.zeros(1, 3, *SIZE))) == 2


def test_maps_are_scaled():
    torch.manual_seed(0)
    plain = TimmVisualEncoder("resnet18", image_size=SIZE).eval()
    scaled = TimmVisualEncoder("resnet18", image_size=SIZE, map_scale=0.25).eval()
    scaled.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, *SIZE)
    assert all(torch.equal(0.25 * a, b) for a, b in zip(plain(image), scaled(image), strict=True))


def test_last_map_of_each_stride_is_taken():
    assert choose_maps([2, 4, 4, 8, 8, 8, 16], (4, 8, 16, 32), None, "m") == [2, 5, 6]
    assert choose_maps([14, 14, 14], (4, 8, 16, 32), None, "m") == [2]
    assert choose_maps([4, 8, 16, 32], (4, 8, 16, 32), 1, "m") == [3]


def test_channels_first_maps_of_a_channels_last_model():
    encoder = TimmVisualEncoder("swin_tiny_patch4_window7_224", image_size=SIZE).eval()
    images = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        maps, inside = encoder(images), encoder.net(images)
    assert inside[0].shape == (1, 16, 48, 96)
    assert torch.equal(maps[0][0, :, 3, 5], inside[0][0, 3, 5])


def test_same_seed_gives_the_same_encoder_and_the_dry_run_leaves_no_trace():
    def make():
        torch.manual_seed(3)
        return TimmVisualEncoder("resnet18", image_size=SIZE)

    first, second = make(), make()
    assert first.training
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    assert first.net.bn1.num_batches_tracked == 0


def test_float64_and_gradients():
    encoder = TimmVisualEncoder("resnet18", image_size=SIZE).double()
    images = torch.randn(2, 3, *SIZE, dtype=torch.float64, requires_grad=True)
    maps = encoder(images)
    assert {m.dtype for m in maps} == {torch.float64}
    sum(m.sum() for m in maps).backward()
    assert images.grad.abs().sum() > 0


def test_weights_come_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model("resnet18").eval()
    safetensors.torch.save_file(whole.state_dict(), tmp_path / "w.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in whole.state_dict().items()}}, tmp_path / "w.pth")
    (tmp_path / "folder").mkdir()
    torch.save(whole.state_dict(), tmp_path / "folder" / "pytorch_model.bin")
    images = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        expected = whole.forward_intermediates(images, intermediates_only=True)[-1]
        for file in ("w.safetensors", "w.pth", "folder"):
            encoder = TimmVisualEncoder("resnet18", image_size=SIZE, weights=tmp_path / file).eval()
            assert torch.allclose(encoder(images)[-1], expected, atol=1e-6)


def test_weights_of_a_transformer_fill_every_tensor(tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model("vit_tiny_patch16_224", img_size=SIZE)
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    encoder = TimmVisualEncoder("vit_tiny_patch16_224", image_size=SIZE, weights=tmp_path / "w.pth")
    source = whole.state_dict()
    assert all(torch.equal(t, source[n.removeprefix("model.")]) for n, t in encoder.net.state_dict().items())


def test_weights_of_another_model_are_refused(tmp_path):
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth: the weights do not fit timm's 'resnet34'"):
        TimmVisualEncoder("resnet34", image_size=SIZE, weights=tmp_path / "w.pth")


def test_unknown_model_is_named_with_close_ones():
    with pytest.raises(InputError, match=r"no model 'resnet19'.*resnet18"):
        TimmVisualEncoder("resnet19", image_size=SIZE)


def test_unreachable_hub_is_told_with_the_file_to_fetch(no_hub):
    with pytest.raises(InputError) as error:
        TimmVisualEncoder("resnet18.tv_in1k", image_size=SIZE, pretrained=True)
    assert "https://huggingface.co/timm/resnet18.tv_in1k" in str(error.value)
    assert "model.safetensors" in str(error.value)
    assert "visual.weights=FILE" in str(error.value)


def test_a_size_the_model_cannot_take_is_told():
    with pytest.raises(InputError, match="Change image_size"):
        TimmVisualEncoder("efficientformer_l1", image_size=SIZE)
    with pytest.raises(InputError, match="strides"):
        TimmVisualEncoder("crossvit_tiny_240", image_size=(240, 240))
    with pytest.raises(InputError, match="scales=5"):
        TimmVisualEncoder("resnet18", image_size=SIZE, scales=5)


def test_unknown_argument_is_told():
    with pytest.raises(InputError, match="does not take an argument"):
        TimmVisualEncoder("resnet18", image_size=SIZE, no_such_argument=1)
