"""A training job from its composed configuration to a full run folder."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from pathlib import Path

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig, OmegaConf

from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError, InputError
from flexhook.experiment.build import build_datamodule, build_module, build_reader, load_weights, read_checkpoint
from flexhook.experiment.callbacks import CheckpointContent, SharedBuffers
from flexhook.experiment.module import ReferringModule
from flexhook.experiment.ranks import StartedRanks, num_processes, run_ranks
from flexhook.experiment.results import evaluate_split, leave_curves, leave_sheets
from flexhook.experiment.run_folder import data_fingerprint, meta, point_latest, write_config, write_json, write_metrics
from flexhook.experiment.scoring_job import build_engine, build_tracker, score_videos

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float | None:
    """Run a training job, in this process or in several that it starts.

    Args:
        cfg: The composed configuration.

    Returns:
        The best validation F1 (0 to 100), which searches optimise; None without validation videos.
    """
    folder = Path(cfg.run_dir)
    if cfg.select_by not in ("f1", "hota"):
        raise ConfigError(f"select_by is '{cfg.select_by}'", expected="f1 or hota")
    if cfg.ckpt_path is not None:
        read_checkpoint(cfg.ckpt_path)
    config = write_config(folder, cfg)
    build_reader(cfg)  # the data is made or missed before any rank starts
    processes = num_processes(cfg.trainer)
    log.info(f"training '{cfg.name}' (seed {cfg.seed}) into {folder}" + (f", {processes} processes" * (processes > 1)))
    if processes > 1:
        run_ranks(config, processes, folder / "logs")
    else:
        train_rank(OmegaConf.load(config))  # type: ignore[arg-type]
    point_latest(folder)
    log.info(f"results: {folder}")
    result = json.loads((folder / "metrics.json").read_text())
    return result.get("val/F1")


def train_rank(cfg: DictConfig) -> None:
    """The part of a job that every process runs: fit, choose the checkpoint, score, evaluate.

    Args:
        cfg: The resolved configuration.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for text in ("in eval mode at the start", "does not have many workers", "logging interval", "TF32", "LeafSpec"):
        warnings.filterwarnings("ignore", f".*{text}.*")  # expected here: frozen encoders, cached features
    folder = Path(cfg.run_dir)
    L.seed_everything(cfg.seed, verbose=False)
    reader = build_reader(cfg)
    module = build_module(cfg)
    data = build_datamodule(cfg, reader, module.model.text.tokenize)
    trainer = build_trainer(cfg)
    main = trainer.global_rank == 0
    if main:
        names = reader.video_names()
        write_json(folder / "meta.json", meta(cfg, data_fingerprint(reader, names)))
        log.info(f"{len(data.train_items)} training items of {len(data.train_videos)} videos, "
                 f"{data.val_items.num_windows} validation windows of {len(data.val_videos)} videos")
    if cfg.cache_features:
        _cache_features(cfg, trainer, module, data)
    trainer.fit(module, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    metrics = _validation_metrics(trainer)
    best = choose_checkpoint(cfg, trainer, module, reader)
    load_weights(module.model, read_checkpoint(best), str(best))
    if main:
        log.info(f"best checkpoint: {best}")
        if cfg.pictures:
            leave_curves(folder)
    if cfg.test and reader.video_names("test"):
        engine = build_engine(module.model, cfg, trainer.strategy.root_device)
        score_videos(engine, reader, build_tracker(cfg), reader.video_names("test"), folder / "scores",
                     (trainer.global_rank, trainer.world_size))
        trainer.strategy.barrier()
        if main:
            evaluation = evaluate_split(cfg, reader, "test", folder / "scores", folder)
            metrics |= evaluation.metrics("test")
            log.info(str(evaluation))
            if cfg.pictures:
                leave_sheets(folder, reader, evaluation)
    if main:
        write_metrics(folder, metrics)
        for logger in trainer.loggers:
            logger.log_metrics({k: v for k, v in metrics.items() if not k.startswith("val/")}, trainer.global_step)
            logger.save()
    trainer.strategy.barrier()


def build_trainer(cfg: DictConfig) -> L.Trainer:
    """The trainer with callbacks and loggers; as a rank of several, with the strategy for it."""
    callbacks = [instantiate(c) for c in cfg.callbacks.values() if c]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            callback.dirpath = str(Path(cfg.run_dir) / "checkpoints")
    callbacks += [SharedBuffers(), CheckpointContent(OmegaConf.to_container(cfg, resolve=True))]  # type: ignore[arg-type]
    more: dict = {}
    if StartedRanks.detect():
        environment = StartedRanks()
        more = {
            "strategy": DDPStrategy(cluster_environment=environment, find_unused_parameters=False, broadcast_buffers=False,
                                    gradient_as_bucket_view=True),
            "devices": environment.world_size(),
        }
        if cfg.trainer.accelerator == "auto":
            more["accelerator"] = "gpu" if torch.cuda.is_available() else "cpu"
    else:
        more["devices"] = 1
    return instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=[instantiate(c) for c in cfg.logger.values() if c],
        default_root_dir=cfg.run_dir,
        enable_progress_bar=False,
        enable_model_summary=False,
        **more,
    )


def _cache_features(cfg: DictConfig, trainer: L.Trainer, module: ReferringModule, data) -> None:
    visual, text = "visual" in module.frozen, "text" in module.frozen
    if not (visual or text) or cfg.protocol.freeze_mode != "eval":
        raise ConfigError("cache_features=true needs frozen encoders in evaluation mode",
                          expected="freeze=[visual], [text] or both, and protocol.freeze_mode=eval",
                          hint="Freeze an encoder or set cache_features=false")
    log.info("computing the frozen encoders' features that are not cached yet")
    module.model.eval()
    device = trainer.strategy.root_device
    module.model.to(device)
    data.fill_features(module.model, Path(cfg.cache_dir) / "features", visual, text)


def _validation_metrics(trainer: L.Trainer) -> dict[str, float]:
    """Validation scores of the epoch with the best F1, and that epoch's number of checkpoints kept."""
    checkpoint = trainer.checkpoint_callback
    best = getattr(checkpoint, "best_model_score", None)
    return {} if best is None else {"val/F1": float(best)}


def choose_checkpoint(cfg: DictConfig, trainer: L.Trainer, module: ReferringModule, reader: Reader) -> Path:
    """The checkpoint to test: best validation F1, or best HOTA on the validation videos with tracker boxes.

    Without validation videos it is the last one.
    """
    callback = trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint):
        raise ConfigError("the configuration has no checkpoint callback", expected="callbacks.checkpoint")
    candidates = sorted(callback.best_k_models, key=lambda p: float(callback.best_k_models[p]), reverse=True)
    if not candidates:
        path = callback.last_model_path or callback.best_model_path
        if not path:
            raise InputError("training left no checkpoint", file=callback.dirpath, hint="Raise optim.epochs")
        return Path(path)
    if cfg.select_by == "f1":
        return Path(callback.best_model_path)
    names, best = reader.video_names(cfg.protocol.validate_on), (-1.0, candidates[0])
    for path in candidates:
        load_weights(module.model, read_checkpoint(path), path)
        engine = build_engine(module.model, cfg, trainer.strategy.root_device)
        scores = Path(cfg.run_dir) / ".select"
        score_videos(engine, reader, build_tracker(cfg), names, scores, (trainer.global_rank, trainer.world_size))
        trainer.strategy.barrier()
        hota = evaluate_split(cfg, reader, cfg.protocol.validate_on, scores, None).metrics("val")["val/HOTA"]
        log.info(f"validation HOTA {hota:.2f} with tracker boxes: {Path(path).name}")
        best = max(best, (hota, path), key=lambda pair: pair[0])
        trainer.strategy.barrier()
        if trainer.global_rank == 0:
            shutil.rmtree(scores)
        trainer.strategy.barrier()
    return Path(best[1])
