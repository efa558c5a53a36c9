"""BatchNorms folded into convolutions: the same maps from another copy, and only where that is so."""

import pytest
import torch
from tiny_model import TinyVisual
from torch import nn

from flexhook.encoders.packaged import efficientnet_lite0
from flexhook.encoders.visual import TimmVisualEncoder
from flexhook.methods.two_stage.folded import folded

SIZE = (64, 96)


def seasoned(visual):
    """With statistics and scales of its own in every BatchNorm."""
    torch.manual_seed(0)
    for module in visual.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return visual.eval()


def count(visual):
    return sum(isinstance(module, nn.BatchNorm2d) for module in visual.modules())


@pytest.mark.parametrize("make", [
    lambda: efficientnet_lite0(SIZE, pretrained=False),
    lambda: TimmVisualEncoder("resnet18", SIZE, pretrained=False),
], ids=["EfficientNet-Lite0", "ResNet-18"])  # fmt: skip
def test_maps_are_the_same_without_a_single_batch_norm(make):
    visual = seasoned(make())
    before = count(visual)
    copy = folded(visual, SIZE)
    assert copy is not visual
    assert count(copy) == 0
    assert count(visual) == before > 10
    x = torch.randn(2, 3, *SIZE)
    with torch.inference_mode():
        for a, b in zip(visual(x), copy(x), strict=True):
            assert (a - b).abs().max() < 2e-5 * a.abs().max()
            assert a.abs().max() > 0.01


class OutOfOrder(nn.Module):
    """Normalises before the convolution that is registered first."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x):
        return [self.convolution(self.norm(x))]


def test_module_whose_parts_run_in_another_order_stays_as_it_is():
    visual = seasoned(OutOfOrder())
    assert folded(visual, SIZE) is visual


@pytest.mark.parametrize("visual", [TinyVisual().eval(), efficientnet_lite0(SIZE, pretrained=False).train()])
def test_nothing_is_copied_where_nothing_can_be_folded(visual):
    assert folded(visual, SIZE) is visual
