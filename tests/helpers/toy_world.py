"""A Refer-KITTI folder small enough to train on within seconds: boxes wander over smooth patterns, rules give the sentences."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_video import SIZE, NumberedFrames, make_tracks

RULES = {
    "cars": lambda frame, identity: True,
    "odd cars": lambda frame, identity: identity % 2 == 1,
    "cars in the first half": lambda frame, identity: frame < 4,
    "cars that nobody sees": lambda frame, identity: False,
}


def write_toy_world(root, videos, sentences=RULES, seed=0):
    """Write videos ``{name: {identity: frames}}`` with their true tracks as the tracker's output, too.

    Returns:
        The overrides of ``flexhook train`` that name the data: every video trains; give the splits yourself.
    """
    root = Path(root)
    for k, (name, spans) in enumerate(videos.items()):
        truth = make_tracks(spans, seed + k)
        frames = NumberedFrames(int(truth.frame.max()) + 1)
        for index in range(len(frames)):
            path = put(root / "KITTI/training/image_02" / name / f"{index:06d}.png")
            Image.fromarray(frames.read(index)).save(path)
            rows = np.flatnonzero(truth.frame == index)
            x1, y1, x2, y2 = (truth.box[rows] / [*SIZE[::-1], *SIZE[::-1]]).T
            lines = [f"1 {truth.identity[r]} {a:.6f} {b:.6f} {w:.6f} {h:.6f}\n"
                     for r, a, b, w, h in zip(rows, x1, y1, x2 - x1, y2 - y1, strict=True)]
            put(root / "KITTI/labels_with_ids/image_02" / name / f"{index:06d}.txt").write_text("".join(lines))
        for sentence, refers in sentences.items():
            label = {}
            for frame, identity in zip(truth.frame.tolist(), truth.identity.tolist(), strict=True):
                if refers(frame, identity):
                    label.setdefault(str(frame), []).append(identity)
            content = {"label": label, "ignore": [], "video_name": name, "sentence": sentence}
            put(root / "expression" / name / f"{sentence.replace(' ', '-')}.json").write_text(json.dumps(content))
        lines = [f"{f + 1},{i},{b[0]:.2f},{b[1]:.2f},{b[2] - b[0]:.2f},{b[3] - b[1]:.2f},1,-1,-1,-1\n"
                 for f, i, b in zip(truth.frame, truth.identity, truth.box, strict=True)]
        put(root / "tracks" / name / "car" / "predict.txt").write_text("".join(lines))
        put(root / "tracks" / name / "pedestrian" / "predict.txt").write_text("")
    return root


def toy_overrides(root, train, val, test):
    """Overrides of ``flexhook train`` for a toy world and these videos."""
    splits = ",".join(f"{split}:[{','.join(map(repr, names))}]" for split, names in
                      (("train", train), ("val", val), ("test", test)))
    return [
        "experiment=none", "name=toy", "data=refer_kitti", f"data.root={root}", f"data.reader.splits={{{splits}}}",
        f"data.reader.sizes={{default:[{SIZE[0]},{SIZE[1]}]}}", "image_size=[64,192]", "+visual.strides=[16,32]",
        "sampling.expressions=4", "sampling.positives=2", "freeze=[visual,text]", "pictures=false", "optim.epochs=2",
        "optim.optimizer.lr=1e-3",
    ]  # fmt: skip


def put(path):
    """The path, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
