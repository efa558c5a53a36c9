"""Referring models with tiny random encoders, which count what they encode."""

from functools import partial
from zlib import crc32

import torch
from torch import nn

from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder
from flexhook.methods.flexhook.hook import CHook
from flexhook.methods.flexhook.network import FlexHook, WindowBatch
from flexhook.methods.flexhook.temporal import TemporalIntegration

IMAGE_SIZE = (32, 96)
WIDTH = 16
WORDS = ("red cars turning left which are parked on the right side men walking women standing in light dark "
         "silver vehicles ahead of ours moving same counter direction").split()


class TinyVisual(nn.Module):
    """A map at each of the given strides, each a function of the one before; it counts images and calls."""

    mean, std, map_scale = (0.5, 0.4, 0.3), (0.25, 0.3, 0.2), 1.0

    def __init__(self, strides=(4, 8, 16, 32), channels=(6, 8, 10, 12)):
        super().__init__()
        self.strides, self.channels = tuple(strides), tuple(channels)
        before, at = 3, 1
        self.stages = nn.ModuleList()
        for stride, width in zip(strides, channels, strict=True):
            self.stages.append(nn.Conv2d(before, width, 3, stride=stride // at, padding=1))
            before, at = width, stride
        self.calls, self.images = 0, 0

    def forward(self, images):
        self.calls, self.images = self.calls + 1, self.images + len(images)
        maps, x = [], images
        for stage in self.stages:
            x = torch.tanh(stage(x))
            maps.append(x)
        return maps


class TinyText(nn.Module):
    """Word vectors mixed over the sentence (padding left out); it counts sentences and calls."""

    def __init__(self, width=WIDTH, length=9, vocabulary=64):
        super().__init__()
        self.width, self.length, self.vocabulary = width, length, vocabulary
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.mix = nn.Linear(width, width)
        self.calls, self.sentences = 0, 0

    def tokenize(self, sentences):
        ids = torch.zeros(len(sentences), self.length, dtype=torch.int64)
        mask = torch.zeros(len(sentences), self.length, dtype=torch.bool)
        for k, sentence in enumerate(sentences):
            known = [1, *[2 + crc32(w.encode()) % (self.vocabulary - 2) for w in sentence.split()][:self.length - 1]]
            ids[k, : len(known)], mask[k, : len(known)] = torch.tensor(known), True
        return ids, mask

    def forward(self, ids, mask):
        self.calls, self.sentences = self.calls + 1, self.sentences + len(ids)
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        share = mask.to(x.dtype) / mask.sum(1, keepdim=True)
        return x + torch.tanh(self.mix(torch.einsum("nl,nld->nd", share, x)))[:, None]


def tiny_flexhook(strides=(4, 8, 16, 32), channels=(6, 8, 10, 12), frames=4, points=3, heads=4, grid=(8, 16), seed=0,
                  dtype=torch.float64, every=True, decoder=PairwiseCorrespondenceDecoder):
    """A FlexHook in evaluation mode; with ``every`` norms, biases and position vectors are random too."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = FlexHook(
            TinyVisual(strides, channels), TinyText(),
            partial(CHook, num_reference_points=points, heads=heads, finest=grid),
            TemporalIntegration, partial(decoder, heads=heads), num_frames=frames, grid=grid,
        )  # fmt: skip
        if every:
            randomise(model)
    return model.to(dtype).eval()


def randomise(module):
    """Move every parameter off its initial value, so that none is one or zero by chance."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn_like(parameter)


def sentences_of(count, seed=0):
    """``count`` different sentences of two to eight words."""
    rng = torch.Generator().manual_seed(seed)
    out = {}
    while len(out) < count:
        size = int(torch.randint(2, 9, (), generator=rng))
        out[" ".join(WORDS[int(k)] for k in torch.randint(len(WORDS), (size,), generator=rng))] = None
    return list(out)


def random_boxes(*shape, rng):
    """Boxes as fractions of the frame, some of which hang over its border."""
    centre = torch.rand(*shape, 2, generator=rng, dtype=torch.float64)
    size = 0.05 + 0.5 * torch.rand(*shape, 2, generator=rng, dtype=torch.float64)
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def random_batch(model, windows=3, expressions=5, frames=6, sentences=7, seed=0, own=True):
    """Windows that share frames and sentences; ``own=False``: every window hears all sentences."""
    rng = torch.Generator().manual_seed(seed)
    ids, mask = model.text.tokenize(sentences_of(sentences, seed))
    return WindowBatch(
        frame=torch.randint(frames, (windows, model.num_frames), generator=rng),
        boxes=random_boxes(windows, model.num_frames, rng=rng),
        mask=mask,
        ids=ids,
        expression=torch.randint(sentences, (windows, expressions), generator=rng) if own else None,
        images=torch.randint(256, (frames, 3, *IMAGE_SIZE), generator=rng, dtype=torch.uint8),
        labels=torch.randint(2, (windows, expressions if own else sentences), generator=rng),
    )
