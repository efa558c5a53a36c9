"""A training job from its composed configuration to a full run folder."""

from __future__ import annotations

import logging
import shutil
import warnings
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig, OmegaConf

from flexhook.configuration.check_config import check_config
from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError, InputError
from flexhook.inference.scoring_job import build_engine, build_tracker, score_videos
from flexhook.methods.two_stage.build import build_datamodule, build_module
from flexhook.methods.two_stage.module import ReferringModule
from flexhook.training.build import build_reader
from flexhook.training.callbacks import CheckpointContent, SharedBuffers
from flexhook.training.checkpoints import WholeCheckpoints, load_weights, read_checkpoint, take_over
from flexhook.training.costs import EpochTimes, RunCosts
from flexhook.training.own_gpu import take_gpu
from flexhook.training.precision import fast_precision
from flexhook.training.ranks import StartedRanks, num_processes, run_ranks
from flexhook.training.results import evaluate_split, leave_curves, leave_sheets
from flexhook.training.resume import best_f1, go_on, warn_of_another_model
from flexhook.training.run_folder import (
    begin,
    data_fingerprint,
    forget_results,
    meta,
    point_latest,
    read_config,
    remark_lines,
    write_config,
    write_json,
    write_metrics,
)
from flexhook.training.running import running
from flexhook.training.scheduled_ranks import ScheduledRanks
from flexhook.training.wandb_log import WandbLog

log = logging.getLogger(__name__)

#: How long a process waits for others that score longer videos or evaluate; one that died is noticed by other means.
WAIT = timedelta(hours=12)


def train(cfg: DictConfig, resume: bool = False) -> float | None:
    """Run a training job, in this process, in several that it starts, or as one of several that a scheduler started.

    Args:
        cfg: The composed configuration.
        resume: Go on with the same run where its folder holds one: skip it if it is done, else take its last checkpoint.

    Returns:
        The best validation F1 (0 to 100), which searches optimise; None without validation videos.

    Raises:
        ConfigError: Another process trains into the folder, or, with ``resume``, it holds a run of another configuration.
    """
    folder = Path(cfg.run_dir)
    check_config(cfg)
    if cfg.own_gpu:
        take_gpu()
    if resume and go_on(folder, cfg):
        log.info(f"done already: {folder}")
        return best_f1(folder)
    earlier = None if cfg.ckpt_path is None else read_checkpoint(cfg.ckpt_path)
    if earlier is not None:
        warn_of_another_model(OmegaConf.create(earlier["flexhook"]["config"]), cfg)

    def prepare() -> None:
        held.enter_context(running(folder))
        if earlier is None:
            begin(folder)
        forget_results(folder)
        write_config(folder, cfg)
        if earlier is not None:
            take_over(earlier, Path(cfg.ckpt_path), folder, OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
        build_reader(cfg)  # the data is made or missed before any rank starts

    ranks = ScheduledRanks() if ScheduledRanks.detect() else None
    processes = ranks.world_size() if ranks else num_processes(cfg.trainer)
    log.info(f"training '{cfg.name}' (seed {cfg.seed}) into {folder}" + (f", {processes} processes" * (processes > 1)))
    with ExitStack() as held:
        if ranks:
            ranks.prepare(folder, prepare)
        else:
            prepare()
        if processes > 1 and not ranks:
            run_ranks(folder / "config.yaml", processes, folder / "logs")
        else:
            train_rank(read_config(folder))
    if not ranks or ranks.global_rank() == 0:
        point_latest(folder)
    log.info(f"results: {folder}")
    return best_f1(folder)


def train_rank(cfg: DictConfig) -> None:
    """The part of a job that every process runs: fit, choose the checkpoint, score, evaluate.

    Args:
        cfg: The resolved configuration.
    """
    for name in ("lightning.pytorch", "timm"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in ("in eval mode at the start", "does not have many workers", "logging interval", "TF32", "LeafSpec",
                 "sync_dist=True", "exists and is not empty"):
        warnings.filterwarnings("ignore", f".*{text}.*")  # expected here: frozen encoders, cached features, resumed runs
    folder = Path(cfg.run_dir)
    L.seed_everything(cfg.seed, verbose=False)
    reader = build_reader(cfg)
    module = build_module(cfg)
    data = build_datamodule(cfg, reader, module.model.text.tokenize)
    trainer = build_trainer(cfg)
    main = trainer.global_rank == 0
    costs = RunCosts(folder, None if cfg.ckpt_path is None else Path(cfg.ckpt_path).resolve().parent.parent)
    if main:
        names = reader.video_names()
        write_json(folder / "meta.json", meta(cfg, data_fingerprint(reader, names)) | {"costs": costs.costs})
        log.info(f"{len(data.train_items)} training items of {len(data.train_videos)} videos, "
                 f"{data.val_items.num_windows} validation windows of {len(data.val_videos)} videos")
    if cfg.cache_features:
        _cache_features(cfg, trainer, module, data)
    trainer.fit(module, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    costs.trained(trainer, module)
    best, metrics = choose_checkpoint(cfg, trainer, module, reader)
    load_weights(module.model, read_checkpoint(best), best)
    if main:
        log.info(f"best checkpoint: {best}")
        if cfg.pictures:
            leave_curves(folder)
    if cfg.test and reader.video_names("test"):
        engine = build_engine(module.model, cfg, trainer.strategy.root_device)
        reports = score_videos(engine, reader, build_tracker(cfg), reader.video_names("test"), folder / "scores",
                               (trainer.global_rank, trainer.world_size))
        costs.scored(reports)
        trainer.strategy.barrier()
        if main:
            evaluation = evaluate_split(cfg, reader, "test", folder / "scores", folder)
            metrics |= evaluation.metrics("test")
            log.info("\n".join([str(evaluation), *remark_lines(cfg.protocol)]))
            if cfg.pictures:
                leave_sheets(folder, reader, evaluation)
    if main:
        costs.note(trainer.strategy.root_device)
        write_metrics(folder, metrics)
        for logger in trainer.loggers:
            logger.log_metrics({k: v for k, v in metrics.items() if not k.startswith("val/")}, trainer.global_step)
            logger.save()
            if isinstance(logger, WandbLog):
                logger.leave_results(metrics)
    trainer.strategy.barrier()


def build_trainer(cfg: DictConfig) -> L.Trainer:
    """The trainer with callbacks and loggers; as a rank of several, with the strategy for it."""
    callbacks = [instantiate(c) for c in cfg.callbacks.values() if c]
    callbacks += [SharedBuffers(), EpochTimes(), CheckpointContent(OmegaConf.to_container(cfg, resolve=True))]  # type: ignore[arg-type]
    more: dict = {}
    environment = StartedRanks() if StartedRanks.detect() else ScheduledRanks() if ScheduledRanks.detect() else None
    if environment:
        more = {
            "strategy": DDPStrategy(cluster_environment=environment, find_unused_parameters=False, broadcast_buffers=False,
                                    gradient_as_bucket_view=True, timeout=WAIT),
            "devices": environment.ranks_per_node,
            "num_nodes": environment.num_nodes,
        }
        if cfg.trainer.accelerator == "auto":
            more["accelerator"] = "gpu" if torch.cuda.is_available() else "cpu"
    else:
        more["devices"] = 1
    if cfg.trainer.precision == "auto":
        more["precision"] = fast_precision(cfg.trainer.accelerator)
    return instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=[instantiate(c) for c in cfg.logger.values() if c],
        plugins=[WholeCheckpoints()],
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
    data.fill_features(module.model, Path(cfg.cache_dir) / "features", visual, text,
                       (trainer.global_rank, trainer.world_size), str(trainer.precision),
                       trainer.precision_plugin.forward_context)


def choose_checkpoint(
    cfg: DictConfig, trainer: L.Trainer, module: ReferringModule, reader: Reader
) -> tuple[Path, dict[str, float]]:
    """The checkpoint to test, and its validation scores.

    That is the one with the best validation F1, or the best HOTA on the validation videos with tracker boxes; without
    validation videos the last one.
    """
    callback = trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint):
        raise ConfigError("the configuration has no checkpoint callback", expected="callbacks.checkpoint")
    candidates = sorted(callback.best_k_models, key=lambda p: float(callback.best_k_models[p]), reverse=True)
    chosen, scores = candidates[0] if candidates else callback.last_model_path, {}
    if not chosen:
        raise InputError("training left no checkpoint", file=callback.dirpath, hint="Raise optim.epochs")
    if candidates and cfg.select_by == "hota":
        hota = [_validation_hota(cfg, trainer, module, reader, Path(path)) for path in candidates]
        best = max(range(len(hota)), key=hota.__getitem__)
        chosen, scores = candidates[best], {"val/HOTA": hota[best]}
    found = {k: v for k, v in read_checkpoint(chosen)["flexhook"]["metrics"].items() if k != "val/loss"}
    return Path(chosen), {**found, **scores}


def _validation_hota(cfg: DictConfig, trainer: L.Trainer, module: ReferringModule, reader: Reader, path: Path) -> float:
    load_weights(module.model, read_checkpoint(path), path)
    engine, scores = build_engine(module.model, cfg, trainer.strategy.root_device), Path(cfg.run_dir) / ".select"
    names = reader.video_names(cfg.protocol.validate_on)
    score_videos(engine, reader, build_tracker(cfg), names, scores, (trainer.global_rank, trainer.world_size))
    trainer.strategy.barrier()
    hota = evaluate_split(cfg, reader, cfg.protocol.validate_on, scores, None).metrics("val")["val/HOTA"]
    log.info(f"validation HOTA {hota:.2f} with tracker boxes: {path.name}")
    trainer.strategy.barrier()
    if trainer.global_rank == 0:
        shutil.rmtree(scores)
    trainer.strategy.barrier()
    return hota
