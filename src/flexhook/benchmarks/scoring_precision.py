"""What bf16 scores do to the HOTA of a trained model's test set."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from flexhook.configuration.resolvers import config_folder
from flexhook.configuration.trust import check_parts
from flexhook.inference.prediction import best_device, score_videos
from flexhook.inference.scoring_options import scoring_options
from flexhook.trackers.from_config import build_tracker
from flexhook.training.build import DATA_PARTS, build_reader, forget_generator, load_method, require_data
from flexhook.training.run_evaluation import evaluate_split

TARGET = 0.1
"""HOTA points (0 to 100) that bf16 may move the pooled score by."""


def compare_precision(checkpoint: Path, accelerator: str = "auto") -> int:
    """Score the test videos in float32 and in bf16, print both and say whether they agree.

    Args:
        checkpoint: A checkpoint of this project.
        accelerator: ``auto`` or ``cpu``.

    Returns:
        0 where the pooled HOTA moves by less than :data:`TARGET`, else 1.
    """
    method, cfg = load_method(checkpoint)
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg.scoring = scoring_options(compose("score", ["ckpt=none"]).scoring, cfg)
    forget_generator(cfg)
    check_parts(cfg, [*DATA_PARTS, "scoring.calibration"], checkpoint)
    require_data(cfg, checkpoint)
    method.tracker = build_tracker(cfg)
    reader, hota = build_reader(cfg), {}
    print(f"{'':10}{'HOTA':>10}{'seconds':>10}")
    for precision in ("float32", "bf16"):
        with open_dict(cfg):
            cfg.scoring.precision = precision
        method.prepare_inference(cfg, best_device(accelerator), reader)
        with tempfile.TemporaryDirectory() as place:
            names = reader.video_names("test")
            reports = score_videos(method, reader, names, Path(place), say=lambda text: None)
            hota[precision] = evaluate_split(cfg, reader, "test", Path(place), None).metrics("test")["test/HOTA"]
        print(f"{precision:10}{hota[precision]:10.3f}{sum(r.seconds for r in reports):10.1f}", flush=True)
    moved = abs(hota["bf16"] - hota["float32"])
    print(f"moved by {moved:.3f}; target under {TARGET}")
    return 0 if moved < TARGET else 1
