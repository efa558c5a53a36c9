"""One clip of 30 frames with six expressions, a one-stage network small enough to learn it by heart, and how well it did."""

from itertools import pairwise

import numpy as np
import torch
from tiny_model import TinyText
from torch import nn

from flexhook.evaluation.evaluator import evaluate_videos
from flexhook.methods.one_stage.clips import ClipCollator, ClipItems
from flexhook.methods.one_stage.losses import LossWeights
from flexhook.methods.one_stage.matching import MatchCost
from flexhook.methods.one_stage.module import OneStageModule
from flexhook.methods.one_stage.pictures import InferenceResize
from flexhook.methods.one_stage.video import Candidates, SentenceTrackers
from flexhook.structures import Expression, RowResults, TrackSet, Video
from flexhook.structures.video import make_labels

SIZE, FRAMES = (64, 128), 30
COLOURS = {1: (230, 40, 40), 2: (40, 220, 60), 3: (60, 80, 240), 4: (230, 220, 50)}
SENTENCES = {"red things": {1}, "green things": {2}, "blue things": {3}, "yellow things": {4}, "red and green": {1, 2},
             "blue and yellow": {3, 4}}  # fmt: skip


class Pictures:
    """Coloured rectangles on grey."""

    def __init__(self, truth):
        self.truth = truth

    def __len__(self):
        return FRAMES

    def name(self, index):
        return f"frame {index}"

    def read(self, index):
        image = np.full((*SIZE, 3), 110, np.uint8)
        for row in np.flatnonzero(self.truth.frame == index):
            x1, y1, x2, y2 = self.truth.box[row].round().astype(int)
            image[max(y1, 0) : y2, max(x1, 0) : x2] = COLOURS[int(self.truth.identity[row])]
        return image


def overfit_video(entries=(0, 0, 0, 5)):
    """Four objects that move in lanes of their own from their first frames on; the first leaves early."""
    lanes = {1: (24, 6, 2, 3.2), 2: (FRAMES, 100, 18, -2.6), 3: (FRAMES, 10, 34, 2.4), 4: (FRAMES, 98, 48, -2.4)}
    lanes = {i: (range(first, last), *place) for first, (i, (last, *place)) in zip(entries, lanes.items(), strict=True)}
    rows = [(f, i, x + v * (f - frames[0]), y) for i, (frames, x, y, v) in lanes.items() for f in frames]
    table = np.array(rows, float)
    box = np.stack([table[:, 2], table[:, 3], table[:, 2] + 22, table[:, 3] + 13], -1).round()
    truth = TrackSet.build(table[:, 0], table[:, 1], box)
    pairs = [(r, e) for r, i in enumerate(truth.identity) for e, ids in enumerate(SENTENCES.values()) if i in ids]
    labels = make_labels(*zip(*pairs, strict=True), (len(truth), len(SENTENCES)))
    expressions = tuple(Expression(s, s.replace(" ", "-")) for s in SENTENCES)
    return Video("overfit", SIZE, Pictures(truth), truth, expressions, labels)


class SmallVisual(nn.Module):
    """Maps at strides 8, 16, 32 of a small convolutional network."""

    mean, std, strides, channels = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (8, 16, 32), (32, 48, 64)

    def __init__(self):
        super().__init__()
        sizes = (3, 16, 32, *self.channels)
        self.stages = nn.ModuleList(nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.GroupNorm(8, b), nn.ReLU())
                                    for a, b in pairwise(sizes))  # fmt: skip

    def forward(self, images):
        maps, x = [], images
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[2:]


def small_network(kind, **options):
    """A network with encoders that are trained along."""
    torch.manual_seed(0)
    sizes = {"width": 64, "heads": 4, "encoder_layers": 1, "decoder_layers": 2, "ffn": 128, "num_queries": 8}
    return kind(SmallVisual(), TinyText(width=32), **sizes, **options)


EXCHANGED = dict(zip(SENTENCES, ("yellow things", "blue things", "green things", "red things", "blue and yellow",
                                 "red and green"), strict=True))  # fmt: skip
"""A sentence for each sentence that asks for none of its objects."""


def overfit(network, video, thresholds, phases, rate=1e-3, refer=2.0, clip=1.0, say=None):
    """Train a network on the clips of a video.

    The phases, (frames of a clip, steps), lengthen the clips: a network that has seen tracks of three frames alone leaves its
    fresh queries silent beside those and loud beside older ones. The rate falls linearly over the last two fifths of the steps.
    """
    collate = ClipCollator([video], None, InferenceResize(*SIZE))
    module = OneStageModule(network, LossWeights(refer=refer), MatchCost(), thresholds).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4, fused=True)
    total = sum(steps for _, steps in phases)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 30, 1, max(0.02, (1 - step / total) / 0.4)))
    order, step = np.random.default_rng(0), 0
    for length, steps in phases:
        items = ClipItems([video], lengths=[length], seed=1)
        for _ in range(steps):
            (run,) = module.run_clips(collate([items[(step, int(order.integers(len(items))))]]))
            loss = run.total(module.weights)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            scheduler.step()
            step += 1
            if say and step % 50 == 0:
                say(f"step {step} of {total}, clips of {length}: loss {loss.item():.3f}")
    return network.eval()


def answers(network, video, thresholds):
    """What the network answers to each sentence in the whole video."""
    trackers = SentenceTrackers(network, thresholds, InferenceResize(*SIZE), SIZE)
    for sentence in SENTENCES:
        trackers.add(sentence)
    found = {s: Candidates() for s in SENTENCES}
    for frame in range(FRAMES):
        for sentence, rows in trackers.update(video.frames.read(frame)).items():
            found[sentence].add(frame, rows)
    return found


def accuracy(found, video, exchanged=False):
    """DetA, AssA and HOTA at IoU 0.5 over all expressions, 0 to 100; ``exchanged``: of the answers to other sentences."""
    results = [found[EXCHANGED[e.sentence] if exchanged else e.sentence].result(e) for e in video.expressions]
    columns = {k: np.concatenate([getattr(r.tracks, k) for r in results]) for k in ("frame", "identity", "box", "category")}
    columns |= {k: np.concatenate([getattr(r, k) for r in results]) for k in ("score", "accepted")}
    index = np.repeat(np.arange(len(results)), [len(r.tracks) for r in results])
    evaluation = evaluate_videos([(video, RowResults("overfit", video.expressions, index, columns))])
    curves = evaluation.model.sums().curves()
    return {k: 100 * float(np.ravel(curves[k])[9]) for k in ("DetA", "AssA", "HOTA")}
