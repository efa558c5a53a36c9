"""Every kind of file that is read, written by a run of the toy world, with its reader and what its values must be."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tiny_video import SIZE
from toy_world import run_here, toy_overrides, write_toy_world

from flexhook.commands.predict import read_sentences
from flexhook.commands.run_data import open_reader
from flexhook.datasets.expression_files import read_expression_file
from flexhook.datasets.kitti_labels import read_kitti_labels
from flexhook.datasets.mot import read_class_names, read_mot, read_mot_truth
from flexhook.encoders.weight_files import read_weights
from flexhook.evaluation.trackeval_folder import read_trackeval_folder
from flexhook.inference.result_writer import BlockWriter
from flexhook.media.images import read_image
from flexhook.media.video_files import VideoWriter, open_frames
from flexhook.parity.golden import read_golden
from flexhook.reports.runs import read_run
from flexhook.structures import TrackSet, Video
from flexhook.structures.reference_points import read_reference_points
from flexhook.structures.result_files import read_expressions, read_results
from flexhook.structures.result_folder import merge_expressions
from flexhook.training.checkpoints import read_checkpoint
from flexhook.training.run_folder import read_config
from flexhook.visualization.curves import read_metrics

FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass
class Target:
    """A file to damage.

    Attributes:
        name: What it is.
        path: The file.
        kind: What damage fits, see :func:`damage.damaged`.
        read: Reads it and all that it needs.
        sane: Sees that what was read is finite and sensible.
        weight: How often it is drawn.
    """

    name: str
    path: Path
    kind: str
    read: Callable[[], Any]
    sane: Callable[[Any], None] = lambda value: None
    weight: int = 1


def sane_tracks(tracks: TrackSet) -> None:
    """Finite boxes with an area, frames and identities that count."""
    assert np.isfinite(tracks.box).all() and (tracks.box[:, 2:] > tracks.box[:, :2]).all()
    assert np.isfinite(tracks.confidence).all()
    assert not len(tracks) or (0 <= tracks.frame.min() and tracks.frame.max() < 10**7)
    assert len(np.unique(np.stack([tracks.frame, tracks.identity]), axis=1).T) == len(tracks)


def sane_results(results: Any) -> None:
    """Scores in [0, 1], an answer for every row."""
    for result in results:
        sane_tracks(result.tracks)
        assert len(result.score) == len(result.accepted) == len(result.tracks)
        assert ((result.score >= 0) & (result.score <= 1)).all() and result.accepted.dtype == bool


def sane_video(video: Video) -> None:
    """True tracks and labels that fit."""
    sane_tracks(video.truth)
    assert video.labels.shape == (len(video.truth), len(video.expressions))
    assert all(e.sentence.strip() for e in video.expressions)


def sane_tree(value: Any) -> None:
    """Finite numbers in nested containers, arrays and tensors."""
    if isinstance(value, dict):
        for part in value.values():
            sane_tree(part)
    elif isinstance(value, list | tuple):
        for part in value:
            sane_tree(part)
    elif isinstance(value, torch.Tensor):
        assert not value.is_floating_point() or torch.isfinite(value).all()
    elif isinstance(value, np.ndarray):
        assert value.dtype.kind not in "fc" or np.isfinite(value).all()
        assert value.dtype.kind != "O"
    elif isinstance(value, float):
        assert np.isfinite(value)


def drained(results: Any) -> list:
    """Results read to their end."""
    return list(results)


def make_targets(root: Path) -> list[Target]:
    """Write one of each file below a folder.

    Args:
        root: An empty folder.
    """
    world = write_toy_world(root / "world", {"a": {1: range(6), 2: range(2, 6)}, "u": {1: range(4), 2: range(3)}})
    run = root / "run"
    status, said = run_here(["train", *toy_overrides(world, "a", "u", "u"), f"hydra.run.dir={run}"], root)
    assert status == 0, said
    labels = world / "KITTI/labels_with_ids/image_02/u/000001.txt"
    image = world / "KITTI/training/image_02/u/000001.png"
    expression = world / "expression/u/cars.json"
    tracks = world / "tracks/u/car/predict.txt"
    scores = run / "scores"
    checkpoint = run / "checkpoints/last.ckpt"
    rows = root / "rows"
    _write_rows(rows, world)
    golden = root / "golden"
    shutil.copytree(FIXTURES / "tiny_golden", golden)
    official = root / "0001.txt"
    official.write_text("".join(f"{k} 1 Car 0 0 -1.5 {10 + k} 20 50 60 1.5 1.6 3.9 0.1 1.2 15.3 -1.6\n" for k in range(4)))
    truth = root / "gt.txt"
    truth.write_text("1,1,10,20,30,40,1,1,1\n1,2,50,20,30,40,1,1,0.5\n2,1,12,20,30,40,1,1,1\n")
    evaluated = root / "evaluated/u/cars"
    evaluated.mkdir(parents=True)
    (evaluated / "gt.txt").write_text("1,1,10,20,30,40,1,1,1\n2,1,12,20,30,40,1,1,1\n")
    (evaluated / "predict.txt").write_text("1,1,11,20,30,40,1,1,1\n2,1,12,21,30,40,1,1,1\n")
    (root / "classes.txt").write_text("pedestrian\ncar\n")
    (root / "asked.txt").write_text("red cars\npeople on the left\n")
    clip = root / "clip.mp4"
    with VideoWriter(clip, frame_rate=10) as out:
        for k in range(6):
            out.write(np.full((*SIZE, 3), 40 * k, np.uint8))
    weights = root / "weights.safetensors"
    save_file({"a": torch.randn(4, 3), "b": torch.arange(5)}, weights)

    def read_video():
        return open_reader(run).reader.read("u")  # without the cache, which would hide the files

    def read_evaluated():
        return [(folder.job.truth.box, folder.job.tracks.box) for folder in read_trackeval_folder(root / "evaluated")]

    def play():
        frames = open_frames(clip)
        return [frames.read(k) for k in range(len(frames))]

    return [
        Target("official labels", official, "text", lambda: read_kitti_labels(official)),
        Target("labels in a dataset", labels, "text", read_video, sane_video, 2),
        Target("image", image, "binary", lambda: read_image(image)),
        Target("expression", expression, "json", lambda: read_expression_file(expression, "u"), weight=2),
        Target("expression in a dataset", expression, "json", read_video, sane_video),
        Target("tracks", tracks, "text", lambda: read_mot(tracks, first_frame=1), sane_tracks, 3),
        Target("truth in MOT form", truth, "text", lambda: read_mot_truth(truth, classes={1: "person"}), sane_tracks),
        Target("class names", root / "classes.txt", "text", lambda: read_class_names(root)),
        Target("sentences", root / "asked.txt", "text", lambda: read_sentences(str(root / "asked.txt"))),
        Target("scores of pairs", scores / "u.npz", "npz", lambda: drained(read_results(scores, "u")), sane_results, 4),
        Target("scores of rows", rows / "u.npz", "npz", lambda: drained(read_results(rows, "u")), sane_results, 4),
        Target("expressions.json", scores / "expressions.json", "json", lambda: read_expressions(scores), weight=2),
        Target("reference points", scores / "reference_points.json", "json",
               lambda: read_reference_points(scores / "reference_points.json"), sane_tree),
        Target("checkpoint", checkpoint, "npz", lambda: read_checkpoint(checkpoint)["state_dict"], sane_tree, 2),
        Target("configuration", run / "config.yaml", "yaml", lambda: read_config(run), weight=3),
        Target("data of a run", run / "config.yaml", "yaml", lambda: open_reader(run), weight=3),
        Target("meta.json", run / "meta.json", "json", lambda: read_run(run)),
        Target("metrics.json", run / "metrics.json", "json", lambda: read_run(run).metrics, sane_tree),
        Target("expressions.csv", run / "expressions.csv", "text", lambda: read_run(run)),
        Target("sequences.npz", run / "sequences.npz", "npz", lambda: read_run(run)),
        Target("metrics.csv", run / "metrics.csv", "text", lambda: read_metrics(run / "metrics.csv")),
        Target("golden configuration", golden / "config.json", "json", lambda: read_golden(golden)),
        Target("golden arrays", golden / "outputs.npz", "npz", lambda: read_golden(golden)),
        Target("golden weights", golden / "state_dict.safetensors", "binary", lambda: read_golden(golden)),
        Target("evaluated truth", evaluated / "gt.txt", "text", read_evaluated, sane_tree),
        Target("evaluated tracks", evaluated / "predict.txt", "text", read_evaluated, sane_tree),
        Target("weights", weights, "binary", lambda: read_weights(weights), sane_tree),
        Target("video file", clip, "binary", play),
    ]


def _write_rows(folder: Path, world: Path) -> None:
    """Scores in the form of rows: the tracks of the file, half of them accepted."""
    tracks = read_mot(world / "tracks/u/car/predict.txt", first_frame=1)
    names = read_expressions(world.parent / "run/scores")["u"]
    with BlockWriter(folder, "u", names) as writer:
        for expression in writer.missing():
            writer.write(expression, tracks, np.linspace(0, 1, len(tracks)), np.arange(len(tracks)) % 2 == 0)
        writer.finish()
    merge_expressions(folder, {"u": names})
