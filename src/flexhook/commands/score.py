"""``flexhook score``: a Hydra application."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from flexhook.commands.checkpoint_data import use_data
from flexhook.commands.hydra_app import hydra_command
from flexhook.commands.run_data import chosen_videos
from flexhook.commands.untrained import build_untrained, names_method, untrained_config
from flexhook.errors import ConfigError

if TYPE_CHECKING:
    from flexhook.datasets.reader import Reader
    from flexhook.structures.method import Method


def task(cfg: DictConfig) -> None:
    """Score the videos of a split with a checkpoint, or with a method that needs none.

    Raises:
        InputError: Checkpoint, model, data or tracks are missing or malformed.
    """
    if names_method(cfg):
        score_untrained(cfg)
        return
    from flexhook.training.checkpoint_file import checkpoint_file

    cfg.ckpt = str(checkpoint_file(cfg.ckpt))  # before torch is imported
    from flexhook.configuration.check_config import check_config
    from flexhook.configuration.trust import check_parts
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
    method.tracker = build_tracker(trained) if method.needs_tracks else None
    score_split(cfg, method, trained, build_reader(trained))


def score_untrained(cfg: DictConfig) -> None:
    """Score the videos of a split with a method that needs no training; the folder is then a run folder without checkpoints.

    Raises:
        ConfigError: There are no data, or the method needs a checkpoint.
        InputError: The data or the method's model are missing or malformed.
    """
    from flexhook.configuration.check_config import check_config
    from flexhook.structures.files import write_json
    from flexhook.trackers.from_config import build_tracker
    from flexhook.training.build import build_reader
    from flexhook.training.run_folder import data_fingerprint, meta

    check_config(cfg)
    if "reader" not in (cfg.get("data") or {}):
        raise ConfigError("data is missing", expected="data=NAME data.root=FOLDER", hint="`flexhook score --help` lists them")
    settings = untrained_config(cfg)
    reader = build_reader(settings)
    chosen_videos(reader, cfg.split, cfg.videos)  # what is missing is told before the model is loaded
    print(f"loading the method {settings.method.get('name')}, without a checkpoint", flush=True)
    method = build_untrained(settings)
    method.tracker = build_tracker(cfg) if method.needs_tracks else None
    score_split(cfg, method, settings, reader)
    write_json(Path(cfg.out) / "meta.json", meta(settings, data_fingerprint(reader, reader.video_names())))


def score_split(cfg: DictConfig, method: Method, settings: DictConfig, reader: Reader) -> None:
    """Score videos with a method and leave its configuration beside the scores.

    Args:
        cfg: The command's configuration.
        method: The method, with its tracker.
        settings: The method's configuration, with data and scoring.
        reader: The dataset.
    """
    from flexhook.inference.prediction import best_device, score_videos
    from flexhook.training.run_folder import write_config

    names = chosen_videos(reader, cfg.split, cfg.videos)
    out, device = Path(cfg.out), best_device(cfg.accelerator)
    method.prepare_inference(settings, device, reader)
    print(f"scoring {len(names)} videos of {settings.data.name}, split {cfg.split}, on {device}", flush=True)
    score_videos(method, reader, names, out / "scores", say=lambda text: print(text, flush=True))
    write_config(out, settings)
    print(f"the scores lie in {out / 'scores'}; evaluate them with: flexhook evaluate run={out} split={cfg.split}")


run = hydra_command("score", task)
