"""A Refer-KITTI folder and encoders so small that a training run takes a second: boxes wander, rules give the sentences."""

import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image
from tiny_model import TinyText, TinyVisual
from tiny_video import SIZE, NumberedFrames, make_tracks
from torch import nn

from flexhook.datasets.frame_labels import FrameLabels
from flexhook.datasets.problems import strict

RULES = {
    "cars": lambda frame, identity: True,
    "cars with odd plates": lambda frame, identity: identity % 2 == 1,
    "cars in the first half": lambda frame, identity: frame < 4,
    "cars that nobody sees": lambda frame, identity: False,
}


class ToyVisual(TinyVisual):
    """With batch statistics and dropout, so that a run depends on every random stream and every buffer."""

    def __init__(self, strides=(16, 32), channels=(6, 8), dropout=0.1, batch_norm=True, image_size=None, **unused):
        super().__init__(strides, channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) if batch_norm else nn.Identity() for c in channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, images):
        return [self.dropout(norm(m)) for norm, m in zip(self.norms, super().forward(images), strict=True)]


class ToyText(TinyText):
    """With dropout."""

    def __init__(self, dropout=0.1, length=9, **unused):
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids, mask):
        return self.dropout(super().forward(ids, mask))


@dataclass
class NotedLabels(FrameLabels):
    """Per-frame labels that note every reading in the file that TOY_READS names."""

    def read(self, video, report=strict):
        with open(os.environ["TOY_READS"], "a") as file:
            file.write(f"{video.name}\n")
        return super().read(video, report)


class KillAt(Callback):
    """Ends the process with SIGKILL after a step, as a machine that goes down does."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class KeepWeights(Callback):
    """Writes what each process has at the end of the training: ``FOLDER/rank0.pt``, ``FOLDER/rank1.pt``."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def on_train_end(self, trainer, module):
        torch.save(module.state_dict(), put(self.folder / f"rank{trainer.global_rank}.pt"))


class FailFor(Callback):
    """An error of the program in the second process of the run of one seed."""

    def __init__(self, seed):
        self.seed = seed

    def on_train_epoch_start(self, trainer, module):
        if module.seed == self.seed and trainer.global_rank == 1:
            raise RuntimeError("this process had to fail")


def write_toy_world(root, videos, sentences=RULES, seed=0):
    """Write videos ``{name: {identity: frames}}`` in the raw layout, with their true tracks as the tracker's output, too."""
    root = Path(root)
    for k, (name, spans) in enumerate(videos.items()):
        truth = make_tracks(spans, seed + k)
        frames = NumberedFrames(int(truth.frame.max()) + 1)
        for index in range(len(frames)):
            path = put(root / "KITTI/training/image_02" / name / f"{index:06d}.png")
            Image.fromarray(frames.read(index)).save(path)
            rows = np.flatnonzero(truth.frame == index)
            boxes = truth.box[rows] / [*SIZE[::-1], *SIZE[::-1]]
            lines = [f"1 {truth.identity[r]} {x1:.6f} {y1:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
                     for r, (x1, y1, x2, y2) in zip(rows, boxes, strict=True)]
            put(root / "KITTI/labels_with_ids/image_02" / name / f"{index:06d}.txt").write_text("".join(lines))
        for sentence, refers in sentences.items():
            label = {}
            for frame, identity in zip(truth.frame.tolist(), truth.identity.tolist(), strict=True):
                if refers(frame, identity):
                    label.setdefault(str(frame), []).append(identity)
            content = {"label": label, "ignore": [], "video_name": name, "sentence": sentence}
            put(root / "expression" / name / f"{sentence.replace(' ', '-')}.json").write_text(json.dumps(content))
        lines = [f"{f + 1},{i},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,-1,-1,-1\n"
                 for f, i, (x1, y1, x2, y2) in zip(truth.frame, truth.identity, truth.box, strict=True)]
        put(root / "tracks" / name / "car" / "predict.txt").write_text("".join(lines))
        put(root / "tracks" / name / "pedestrian" / "predict.txt").write_text("")
    return root


def toy_overrides(root, train, val, test):
    """Overrides of ``flexhook train`` for a toy world and these of its videos."""
    names = {"train": train, "val": val, "test": test}
    splits = [f"data.reader.splits.{split}=[{','.join(map(repr, videos))}]" for split, videos in names.items()]
    return [
        "experiment=none", "name=toy", "data=refer_kitti", f"data.root={root}", *splits,
        f"data.reader.sizes.default=[{SIZE[0]},{SIZE[1]}]", "image_size=[32,96]", "visual._target_=toy_world.ToyVisual",
        "text._target_=toy_world.ToyText", "sampling.expressions=4", "sampling.positives=2", "sampling.stride=1",
        "optim.epochs=2", "optim.optimizer.lr=3e-3", "pictures=false", "trainer.log_every_n_steps=1",
    ]  # fmt: skip


def run_here(argv, folder):
    """``flexhook`` in this process, from a folder: (exit status, what it wrote to standard output and error)."""
    from flexhook.commands.main import main

    before, said = os.getcwd(), StringIO()
    os.chdir(folder)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            status = main([str(a) for a in argv])
    finally:
        os.chdir(before)
    return status, said.getvalue()


def start(argv, folder, **more):
    """``flexhook`` in a process of its own, which knows the toy encoders."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "flexhook.commands.main", *map(str, argv)], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": path}, **more,
    )  # fmt: skip


def put(path):
    """The path, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
