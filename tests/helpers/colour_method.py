"""A method of another kind: it finds boxes by the colour that a sentence names, with identities of its own per expression."""

import json

import lightning as L
import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F
from toy_world import put

from flexhook.structures import TrackSet
from flexhook.structures.method import Method, PredictionReport

COLOURS = {"red": 0, "green": 1, "blue": 2}
SIZE, FRAMES = (64, 192), 10


class ColourMethod(Method, L.LightningModule):
    """Pixels whose colour is strong enough are an object's; how strong is the one parameter that is learnt."""

    monitor = "val/agreement"
    keeps_rejected = False

    def __init__(self, lr):
        super().__init__()
        self.name, self.lr = "colour", lr
        self.threshold = torch.nn.Parameter(torch.tensor(1.5))  # stronger than any colour: nothing is found
        self.pixels = []

    @classmethod
    def from_config(cls, cfg, pretrained=None):
        return cls(cfg.method.lr)

    @property
    def module(self):
        return self

    def train_items(self, videos, seed):
        return Frames(videos)

    def val_items(self, videos):
        return Frames(videos)

    def collator(self, split, videos):
        return collate

    def predict(self, video, expressions, writer):
        missing = writer.missing()
        for expression in missing:
            rows = []
            for frame in range(video.num_frames):
                found = strength(video.frames.read(frame), expression.sentence) > self.threshold.item()
                for k, (ys, xs) in enumerate(ndimage.find_objects(ndimage.label(found)[0])):
                    rows.append((frame, 100 * expressions.index(expression) + k, xs.start, ys.start, xs.stop, ys.stop))
            table = np.array(rows, float).reshape(-1, 6)
            tracks = TrackSet.build(table[:, 0], table[:, 1], table[:, 2:])
            writer.write(expression, tracks, np.full(len(tracks), 0.75), np.ones(len(tracks), bool))
        return PredictionReport(video.num_frames * len(missing), f"{len(missing)} expressions")

    def key(self):
        return f"colour {self.threshold.item()}"

    def logits(self, batch):
        return 20 * (batch["strength"] - self.threshold)

    def training_step(self, batch, index):
        return F.binary_cross_entropy_with_logits(self.logits(batch), batch["target"])

    def on_validation_epoch_start(self):
        self.pixels = []

    def validation_step(self, batch, index):
        if batch is not None:
            self.pixels.append(((self.logits(batch) > 0) == (batch["target"] > 0)).float().flatten())

    def on_validation_epoch_end(self):
        total = torch.stack([torch.cat(self.pixels).sum(), torch.tensor(float(sum(map(len, self.pixels))))])
        total = self.all_gather(total).reshape(-1, 2).sum(0)
        self.log("val/agreement", 100 * total[0] / total[1], rank_zero_only=False)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Frames:
    """An item per frame and expression."""

    def __init__(self, videos):
        self.index = [(v, f, e) for v in videos for f in range(v.num_frames) for e in range(len(v.expressions))]

    def __len__(self):
        return len(self.index)

    def __getitem__(self, at):
        return self.index[at[1] if isinstance(at, tuple) else at]


def collate(items):
    """Colour strength and whether a pixel is a referent's, (B, H, W) each."""
    strengths, targets = [], []
    for video, frame, e in items:
        strengths.append(torch.from_numpy(strength(video.frames.read(frame), video.expressions[e].sentence)))
        targets.append(torch.zeros(SIZE))
        rows = (video.truth.frame == frame) & video.labels[:, [e]].toarray()[:, 0]
        for x1, y1, x2, y2 in video.truth.box[rows].round().astype(int):
            targets[-1][y1:y2, x1:x2] = 1
    return {"strength": torch.stack(strengths), "target": torch.stack(targets)}


def strength(image, sentence):
    """How strongly the colour that a sentence names shows, (H, W) float32 in [0, 1]; any colour where it names none."""
    wanted = [c for word, c in COLOURS.items() if word in sentence] or [0, 1, 2]
    image = image.astype(np.float32) / 255
    return np.max([image[..., c] - np.delete(image, c, -1).max(-1) for c in wanted], axis=0)


def write_colour_world(root, videos):
    """Grey frames with a red and a blue rectangle each, in the raw Refer-KITTI layout."""
    for n, name in enumerate(videos):
        labels = {"red cars": {}, "blue cars": {}, "cars": {}}
        for frame in range(FRAMES):
            picture = np.full((*SIZE, 3), 90, np.uint8)
            lines = []
            for identity, (channel, x, y) in {1: (0, 8 + 6 * frame, 8), 2: (2, 150 - 4 * frame - n, 40)}.items():
                picture[y : y + 16, x : x + 24] = np.eye(3, dtype=np.uint8)[channel] * 230
                lines.append(f"1 {identity} {x / 192:.8f} {y / 64:.8f} {24 / 192:.8f} {16 / 64:.8f}\n")
                for sentence in ("cars", "red cars" if identity == 1 else "blue cars"):
                    labels[sentence].setdefault(str(frame), []).append(identity)
            Image.fromarray(picture).save(put(root / "KITTI/training/image_02" / name / f"{frame:06d}.png"))
            put(root / "KITTI/labels_with_ids/image_02" / name / f"{frame:06d}.txt").write_text("".join(lines))
        for sentence, label in labels.items():
            content = {"label": label, "ignore": [], "video_name": name, "sentence": sentence}
            path = put(root / "expression" / name / f"{sentence.replace(' ', '-')}.json")
            path.write_text(json.dumps(content))
    return root
