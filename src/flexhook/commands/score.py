"""``flexhook score``: a Hydra application."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from flexhook.commands.checkpoint_data import use_data
from flexhook.commands.hydra_app import hydra_command
from flexhook.commands.run_data import chosen_videos


def task(cfg: DictConfig) -> None:
    """Score the videos of a split with a checkpoint.

    Raises:
        InputError: Checkpoint, data or tracks are missing or malformed.
    """
    from flexhook.training.checkpoint_file import checkpoint_file

    cfg.ckpt = str(checkpoint_file(cfg.ckpt))  # before torch is imported
    from flexhook.configuration.check_config import check_config
    from flexhook.configuration.trust import check_parts
    from flexhook.inference.prediction import best_device, score_videos
    from flexhook.inference.scoring_options import scoring_options
    from flexhook.trackers.from_config import build_tracker
    from flexhook.training.build import (
        DATA_PARTS,
        build_reader,
        build_trained,
        require_data,
        trained_config,
        trained_method_class,
    )
    from flexhook.training.checkpoints import read_checkpoint
    from flexhook.training.run_folder import write_config

    check_config(cfg)
    print(f"loading {cfg.ckpt}", flush=True)
    checkpoint = read_checkpoint(cfg.ckpt)
    trained = trained_config(checkpoint, cfg.ckpt)
    kind = trained_method_class(trained, cfg.ckpt, cfg)
    use_data(cfg, trained, HydraConfig.get().overrides.task, print, kind.needs_tracks)
    trained.scoring = scoring_options(cfg.scoring, trained)
    check_parts(trained, [*kind.parts, *DATA_PARTS, "scoring.calibration"], cfg.ckpt, cfg)
    require_data(trained, cfg.ckpt, "Give data.root=FOLDER")
    method = build_trained(checkpoint, cfg.ckpt, cfg)
    reader = build_reader(trained)
    names = chosen_videos(reader, cfg.split, cfg.videos)
    out = Path(cfg.out)
    device = best_device(cfg.accelerator)
    method.tracker = build_tracker(trained) if method.needs_tracks else None
    method.prepare_inference(trained, device, reader)
    print(f"scoring {len(names)} videos of {trained.data.name}, split {cfg.split}, on {device}", flush=True)
    score_videos(method, reader, names, out / "scores", say=lambda text: print(text, flush=True))
    write_config(out, trained)
    print(f"the scores lie in {out / 'scores'}; evaluate them with: flexhook evaluate run={out} split={cfg.split}")


run = hydra_command("score", task)
