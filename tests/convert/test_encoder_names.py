"""Published encoder tensors give the published encoders' outputs here."""

import pytest
import torch
import torchvision
from plain_clip import ModifiedResNet, TextTower

from flexhook.convert.encoder_names import text_names, visual_names
from flexhook.encoders.clip_text import ClipTextEncoder
from flexhook.encoders.packaged import efficientnet_lite0
from flexhook.encoders.visual import TimmVisualEncoder
from flexhook.errors import InputError


def shake(module):
    """Random batch statistics and affine parameters, so that none can be mistaken for another."""
    torch.manual_seed(1)
    for name, tensor in module.state_dict().items():
        if "running_var" in name:
            tensor.uniform_(0.5, 1.5)
        elif tensor.ndim == 1:
            tensor.add_(0.2 * torch.randn_like(tensor))
    return module.double().eval()


def fill(encoder, names, state):
    assert sorted(names.values()) == sorted(state)
    encoder.load_state_dict({ours: state[theirs] for ours, theirs in names.items()})


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_torchvision_resnet(name):
    theirs = shake(getattr(torchvision.models, name)())
    ours = TimmVisualEncoder(name, image_size=(64, 96)).double().eval()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    fill(ours, visual_names(ours), state)
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        for level, m in zip((theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4), ours(images), strict=True):
            x = level(x)
            assert torch.allclose(m, x, rtol=0, atol=1e-10 * x.abs().max().item())


def test_openai_resnet():
    theirs = shake(ModifiedResNet())
    ours = TimmVisualEncoder("resnet50_clip_gap", image_size=(64, 96)).double().eval()
    fill(ours, visual_names(ours), theirs.state_dict())
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        for a, b in zip(ours(images), theirs(images), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-10 * b.abs().max().item())


def test_openai_text_tower():
    sizes = {"width": 32, "layers": 3, "heads": 4, "projection": 24, "vocabulary": 90}
    torch.manual_seed(0)
    theirs = shake(TextTower(**sizes))
    ours = ClipTextEncoder(**sizes).double().eval()
    fill(ours, text_names(ours), theirs.state_dict())
    ids = torch.randint(1, 90, (2, 77))
    ids[0, 9:], ids[1, 60:] = 0, 0
    with torch.no_grad():
        expected = theirs(ids)
        assert torch.allclose(ours(ids[:, :25], ids[:, :25] > 0), expected, rtol=0, atol=1e-11)
        assert torch.allclose(ours(ids[:, :12], ids[:, :12] > 0), expected[:, :12], rtol=0, atol=1e-11)


def test_an_encoder_the_published_code_has_not_is_refused():
    with pytest.raises(InputError, match="no visual encoder like TimmVisualEncoder"):
        visual_names(efficientnet_lite0(image_size=(32, 32), pretrained=False))
    with pytest.raises(InputError, match="no text encoder like Linear"):
        text_names(torch.nn.Linear(1, 1))
