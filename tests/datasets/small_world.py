"""One small video, written in every layout that the readers know; all of them must read equal data."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

NAME, SIZE, FRAMES = "0001", (100, 200), 6
#: frame, identity, x, y, w, h in pixels, class
ROWS = [
    (0, 0, 20.0, 20.0, 50.0, 50.0, "car"),
    (0, 3, 100.0, 50.0, 20.0, 20.0, "pedestrian"),
    (1, 0, 25.0, 20.0, 50.0, 50.0, "car"),
    (1, 3, 102.0, 50.0, 20.0, 20.0, "pedestrian"),
    (2, 0, 30.0, 20.0, 50.0, 50.0, "car"),
    (4, 7, -10.0, 60.0, 40.0, 30.0, "car"),
]
SENTENCES = {"people": {0: [3], 1: [3]}, "red cars": {0: [0], 1: [0], 2: [0], 4: [7]}, "the car in front": {4: [7]}}
CLASSES = ("pedestrian", "car")


def assert_is_the_world(video, classes=CLASSES, sentences=tuple(SENTENCES)):
    """Every number of the video is that of this module."""
    assert (video.name, video.size, video.num_frames) == (NAME, SIZE, FRAMES)
    assert list(zip(video.truth.frame.tolist(), video.truth.identity.tolist(), strict=True)) == [r[:2] for r in ROWS]
    box = np.array([[x, y, x + w, y + h] for _, _, x, y, w, h, _ in ROWS])
    assert np.abs(video.truth.box - box).max() < 1e-4
    if classes is not None:
        assert [video.truth.categories[c] for c in video.truth.category] == [r[6] for r in ROWS]
    assert [e.sentence for e in video.expressions] == list(sentences)
    found = {
        e.sentence: {
            int(f): video.truth.identity[(video.truth.frame == f) & mask].tolist() for f in np.unique(video.truth.frame[mask])
        }
        for e, mask in zip(video.expressions, video.labels.toarray().T, strict=True)
    }
    assert found == {s: SENTENCES.get(s, {}) for s in sentences}


def images(folder, digits=6, first=0, size=(20, 10), names=None):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(FRAMES):
        name = f"{k + first:0{digits}d}" if names is None else names[k]
        Image.new("RGB", size, (k, 0, 0)).save(folder / f"{name}.png")


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def expressions(folder, first=0):
    for sentence, referents in SENTENCES.items():
        label = {str(frame + first): ids for frame, ids in referents.items()}
        content = {"label": label, "ignore": [], "video_name": NAME, "sentence": sentence}
        text(folder / f"{sentence.replace(' ', '-')}.json", content)


def fractions(row):
    _, _, x, y, w, h, _ = row
    return [x / SIZE[1], y / SIZE[0], w / SIZE[1], h / SIZE[0]]


def refer_kitti(root):
    images(root / "KITTI/training/image_02" / NAME)
    for frame in range(FRAMES):
        rows = [r for r in ROWS if r[0] == frame]
        lines = [f"{CLASSES.index(r[6])} {r[1]} " + " ".join(f"{v:.6f}" for v in fractions(r)) + "\n" for r in rows]
        if frame != 3:  # a frame that no label file mentions
            text(root / "KITTI/labels_with_ids/image_02" / NAME / f"{frame:06d}.txt", "".join(lines))
    expressions(root / "expression" / NAME)
    return root


def ikun(root):
    images(root / "KITTI/training/image_02" / NAME)
    tracks = {}
    for row in ROWS:
        said = [s for s, referents in SENTENCES.items() if row[1] in referents.get(row[0], [])]
        entry = {"bbox": fractions(row), "category": [row[6]], "expression_raw": said, "expression_new": []}
        tracks.setdefault(str(row[1]), {})[str(row[0])] = entry
    text(root / "labels.json", {NAME: tracks})
    expressions(root / "expression" / NAME)
    return root


def mot_rows(first=1, columns="1,{kind},1", car=3):
    kinds = {"car": car, "pedestrian": 1}
    return "".join(f"{f + first},{i},{x},{y},{w},{h}," + columns.format(kind=kinds[c]) + "\n" for f, i, x, y, w, h, c in ROWS)


def seqinfo(path):
    text(path, f"[Sequence]\nname={NAME}\nseqLength={FRAMES}\nimWidth={SIZE[1]}\nimHeight={SIZE[0]}\nimExt=.png\n")


def dance(root, split="val", car=3):
    folder = root / split / NAME
    images(folder / "img1", digits=8, first=1)
    text(folder / "gt/gt.txt", mot_rows(car=car))
    seqinfo(folder / "seqinfo.ini")
    expressions(root / "expression" / NAME, first=1)
    return root


def lamot(root, source="MOT17", split="train", name=NAME, folder="", car=3):
    """One sequence of a LaMOT source in MOT17's layout, below ``folder`` (TAO's sources have one)."""
    place = root / source / split / folder / name
    images(place / "img1", first=1)
    text(place / "gt/gt.txt", mot_rows(car=car) + "3,99,0,0,0,0,0,1,0\n3,99,5,5,9,9,1,12,1\n3,99,5,5,9,9,1,12,1\n")
    seqinfo(place / "seqinfo.ini")
    for k, (sentence, referents) in enumerate(SENTENCES.items(), 1):
        targets = {str(f + 1): ids for f, ids in referents.items()}
        content = {"targets": targets, "language": sentence}
        text(root / "annotations_v1" / split / source / folder / f"{name}_{k:02d}.json", content)
    return root


def kitti(root):
    images(root / "training/image_02" / NAME)
    kinds = {"car": "Van", "pedestrian": "Person_sitting"}
    rest = "1.5 1.6 3.9 2.0 1.5 13.4 -2.1"
    lines = [f"{f} {i} {kinds[c]} 0 0 -1.79 {x} {y} {x + w} {y + h} {rest}\n" for f, i, x, y, w, h, c in ROWS]
    lines.insert(1, "0 -1 DontCare -1 -1 -10 5 5 9 9 -1000 -1000 -1000 -10 -1 -1 -1\n")
    lines.append(f"5 9 Misc 0 0 -1.79 5 5 9 9 {rest}\n")
    text(root / "training/label_02" / f"{NAME}.txt", "".join(lines))
    expressions(root / "expression" / NAME)
    return root


def snapshot(root):
    """Name, bytes and time of change of every file below a folder, to see that nothing was touched."""
    return {
        str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(Path(root).rglob("*")) if p.is_file()
    }
