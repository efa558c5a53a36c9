"""A small LaMOT on disk, made from annotation files, with boxes and pictures drawn to fit."""

import json
import re
import shutil
import zlib

import numpy as np
from PIL import Image, ImageDraw

FRAMES, SIZE, IMAGE = 16, (360, 640), (96, 54)
#: Images, ground truth and the ground truth's last columns of each source, as its own files lie and read.
LAYOUTS = {
    "MOT17": ("MOT17/train/{video}/img1/{number:06d}.jpg", "MOT17/train/{video}/gt/gt.txt", "1,1,0.8"),
    "SportsMOT": ("SportsMOT/{split}/{video}/img1/{number:06d}.jpg", "SportsMOT/{split}/{video}/gt/gt.txt", "1,1,1"),
    "VisDrone": ("VisDrone/{split}/sequences/{video}/{number:07d}.jpg", "VisDrone/{split}/annotations/{video}.txt", "1,4,0,1"),
    "TAO": ("TAO/{split}/{video}/{number}.jpg", "TAO/gt/{split}/{video}.txt", "1,1,1"),
}
#: The structure of LaMOT's files where the real ones are not at hand: source, sequence, sentences with (first, last, ids).
STRUCTURE = [
    ("MOT17", "MOT17-{:02d}-FRCNN", [("person", 1, 16, [1, 2, 3]), ("man walking on the sidewalk", 4, 12, [2])]),
    ("SportsMOT", "v_{:02d}aZ_c001", [("players in red", 1, 16, [0, 4]), ("player", 1, 16, [0, 2, 4])]),
    ("VisDrone", "uav{:07d}_00000_v", [("car van truck", 1, 16, [5, 6, 9]), ("pedestrian people", 2, 9, [7])]),
    ("TAO", "AVA/{:02d}qi1gD2Sw_scene_1_28435-31083", [("business_card", 1, 9, [10281]), ("baby", 3, 16, [10282])]),
]


def annotations_from_structure(root):
    """Three sequences per source: two for training, one for the test."""
    for source, pattern, sentences in STRUCTURE:
        for k, split in enumerate(("train", "train", "val")):
            key = pattern.format(k + 1)
            for n, (sentence, first, last, ids) in enumerate(sentences, 1):
                content = {"targets": {str(f): ids for f in range(first, last + 1)}, "language": sentence}
                path = root / "annotations_v1" / split / source / f"{key}_{n:02d}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(content))


def annotations_from_real_files(root, shared):
    """The real annotation files, the val ones of a source that has no others shared out over both splits."""
    for folder in sorted(path for path in shared.iterdir() if path.is_dir()):
        split, source = folder.name.split("_")
        names = sorted({re.sub(r"_\d+\.json$", "", str(p.relative_to(folder))) for p in folder.rglob("*.json")})
        for path in sorted(folder.rglob("*.json")):
            relative = path.relative_to(folder)
            name = re.sub(r"_\d+\.json$", "", str(relative))
            moved = split == "val" and source != "MOT17" and names.index(name) % 2 == 0
            target = root / "annotations_v1" / ("train" if moved else split) / source / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def draw(root, most=4):
    """Cut the annotations to a few frames and identities, and make images, ground truth and tracker output for them."""
    for folder in sorted((root / "annotations_v1").glob("*/*")):
        split, source = folder.parent.name, folder.name
        files = {}
        for path in sorted(folder.rglob("*.json")):
            files.setdefault(re.sub(r"_\d+\.json$", "", str(path.relative_to(folder))), []).append(path)
        for key, paths in files.items():
            objects = {}
            for path in paths:
                content = json.loads(path.read_text())
                kept = {f: ids[:most] for f, ids in content["targets"].items() if int(f) <= FRAMES}
                path.write_text(json.dumps({**content, "targets": kept}))
                for frame, ids in kept.items():
                    objects.setdefault(int(frame), set()).update(ids)
            _sequence(root, source, split, key, objects)


def _sequence(root, source, split, key, objects):
    images, truth, columns = LAYOUTS[source]
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    ids = sorted(set().union(*objects.values()) if objects else set())
    place = {i: rng.uniform([0, 0], [SIZE[1] - 120, SIZE[0] - 90]) for i in ids}
    speed = {i: rng.uniform(-6, 6, 2) for i in ids}
    colour = {i: tuple(rng.integers(40, 255, 3).tolist()) for i in ids}
    rows, found = [], []
    for frame in range(1, FRAMES + 1):
        number = 30 * frame + 7 if source == "TAO" else frame  # TAO's images are named by their id
        picture = Image.new("RGB", IMAGE, (90, 100, 95))
        pen = ImageDraw.Draw(picture)
        for i in sorted(objects.get(frame, ())):
            x, y = place[i] + speed[i] * frame
            scale = IMAGE[0] / SIZE[1]
            pen.rectangle([x * scale, y * scale, (x + 110) * scale, (y + 80) * scale], fill=colour[i])
            rows.append(f"{frame},{i},{x:.2f},{y:.2f},110,80,{columns}\n")
            if rng.random() < 0.9:
                dx, dy = rng.normal(0, 3, 2)
                found.append(f"{frame},{ids.index(i) + 1},{x + dx:.2f},{y + dy:.2f},110,80,0.9,-1,-1,-1\n")
        path = root / images.format(video=key, split=split, number=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        # sizes that come from the images need them at the original size
        (picture.resize((SIZE[1], SIZE[0]), 0) if source in ("VisDrone", "TAO") else picture).save(path)
    gt = root / truth.format(video=key, split=split)
    gt.parent.mkdir(parents=True, exist_ok=True)
    gt.write_text("".join(rows))
    if source in ("MOT17", "SportsMOT"):
        size = f"imWidth={SIZE[1]}\nimHeight={SIZE[0]}\n"
        (gt.parents[1] / "seqinfo.ini").write_text(f"[Sequence]\nseqLength={FRAMES}\n{size}")
    tracks = root / "tracks" / f"{key.split('/')[-1]}.txt"
    tracks.parent.mkdir(parents=True, exist_ok=True)
    tracks.write_text("".join(found))
