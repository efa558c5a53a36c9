"""A training job from its composed configuration to a full run folder."""

from __future__ import annotations

import logging
import shutil
import warnings
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig, OmegaConf

from flexhook.configuration.check_config import check_config
from flexhook.datasets.cache import CachedReader
from flexhook.datasets.reader import Reader
from flexhook.errors import ConfigError, InputError
from flexhook.inference.prediction import VideoReport, score_videos
from flexhook.structures.files import write_json
from flexhook.structures.method import Method
from flexhook.trackers.from_config import build_tracker
from flexhook.training.build import build_datamodule, build_method, build_reader, fill_read_cache, method_class, trained_config
from flexhook.training.callbacks import CheckpointContent, SharedBuffers
from flexhook.training.checkpoints import (
    WholeCheckpoints,
    complete,
    load_weights,
    read_checkpoint,
    require_training_state,
    take_over,
)
from flexhook.training.costs import EpochTimes, RunCosts
from flexhook.training.devices import fast_precision, take_gpu
from flexhook.training.ranks import StartedRanks, num_processes, run_ranks
from flexhook.training.resume import best_value, go_on, warn_of_another_model
from flexhook.training.run_evaluation import evaluate_split, leave_curves, leave_sheets, require_sequences
from flexhook.training.run_folder import (
    begin,
    data_fingerprint,
    forget_results,
    meta,
    note_checkpoint,
    point_latest,
    read_config,
    remark_lines,
    write_config,
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
        The best value of the metric that chooses checkpoints, which searches optimise; None without validation videos.

    Raises:
        ConfigError: Another process trains into the folder, or, with ``resume``, it holds a run of another configuration.
    """
    folder = Path(cfg.run_dir)
    check_config(cfg)
    kind = method_class(cfg)
    if not kind.needs_training:
        raise ConfigError(f"the method {cfg.method.name} needs no training", expected="another method",
                          hint=f"Score a dataset with `flexhook score method={cfg.method.name} data={cfg.data.name}`, a video "
                          f"with `flexhook predict method={cfg.method.name} video=FILE 'sentences=[\"...\"]'`")
    if cfg.own_gpu:
        take_gpu()
    if resume and go_on(folder, cfg):
        log.info(f"done already: {folder}")
        return best_value(folder)
    earlier = None if cfg.ckpt_path is None else read_checkpoint(cfg.ckpt_path)
    if earlier is not None:
        require_same_training(earlier, cfg)

    readers: list[CachedReader] = []

    def prepare() -> None:
        held.enter_context(running(folder))
        if earlier is None:
            begin(folder)
        forget_results(folder)
        write_config(folder, cfg)
        if earlier is not None:
            take_over(earlier, Path(cfg.ckpt_path), folder, OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
        readers.append(build_reader(cfg, cfg.cache_dir))  # the data is made or missed before any rank starts
        if cfg.test:
            require_sequences(cfg, readers[0])

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
            train_rank(read_config(folder), *readers)
    if not ranks or ranks.global_rank() == 0:
        point_latest(folder, cfg.latest)
        if ranks:
            ranks.tidy(folder)
    log.info(f"results: {folder}")
    return best_value(folder)


def require_same_training(checkpoint: dict, cfg: DictConfig) -> None:
    """See that a training can go on from a checkpoint, before any data is made.

    Raises:
        InputError: The checkpoint has no state of a training, is another method's, or does not fit the model.
    """
    path = cfg.ckpt_path
    require_training_state(checkpoint, path)
    trained = trained_config(checkpoint, path)
    methods: list[Any] = [m if OmegaConf.is_dict(m := c.get("method")) else {} for c in (trained, cfg)]
    if any(methods[0].get(key) != methods[1].get(key) for key in ("_target_", "name")):
        names = [f"{m.get('name')} ({m.get('_target_')})" for m in methods]
        raise InputError(f"the checkpoint is of the method {names[0]}", file=path, expected=names[1],
                         hint="Give the overrides of the run that it is from")
    warn_of_another_model(trained, cfg)
    complete(build_method(cfg).module, checkpoint, path)


def train_rank(cfg: DictConfig, reader: CachedReader | None = None) -> None:
    """The part of a job that every process runs: fit, choose the checkpoint, score, evaluate.

    Args:
        cfg: The resolved configuration.
        reader: The dataset's reader, where this process has made one.
    """
    for name in ("lightning.pytorch", "timm"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in ("in eval mode at the start", "does not have many workers", "logging interval", "TF32", "LeafSpec",
                 "sync_dist=True", "exists and is not empty"):
        warnings.filterwarnings("ignore", f".*{text}.*")  # expected here: frozen encoders, cached features, resumed runs
    folder = Path(cfg.run_dir)
    L.seed_everything(cfg.seed, verbose=False)
    reader = build_reader(cfg, cfg.cache_dir) if reader is None else reader
    ranks = ranks_here()
    if ranks:
        fill_read_cache(cfg, reader, (ranks.local_rank(), ranks.ranks_per_node))
    method = build_method(cfg)
    data = build_datamodule(cfg, reader, method)
    trainer = build_trainer(cfg, method)
    main = trainer.global_rank == 0
    costs = RunCosts(folder, None if cfg.ckpt_path is None else Path(cfg.ckpt_path).resolve().parent.parent)
    if main:
        names = reader.video_names()
        described = {"monitor": method.monitor, "costs": costs.costs}
        write_json(folder / "meta.json", meta(cfg, data_fingerprint(reader, names)) | described)
        log.info(f"{len(data.train_items)} training items of {len(data.train_videos)} videos, "
                 f"{method.describe_items(data.val_items)} of {len(data.val_videos)} videos")
    method.prepare_training(trainer, data.train_videos + data.val_videos)
    trainer.fit(method.module, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    costs.trained(trainer, method.network)
    best, metrics = choose_checkpoint(cfg, trainer, method, reader)
    load_weights(method.module, read_checkpoint(best), best)
    if main:
        log.info(f"best checkpoint: {best}")
        note_checkpoint(folder, best)
        if cfg.pictures:
            leave_curves(folder)
    if cfg.test and reader.video_names("test"):
        costs.scored(_predict(cfg, trainer, method, reader, "test", folder / "scores"))
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


def _predict(
    cfg: DictConfig, trainer: L.Trainer, method: Method, reader: Reader, split: str, folder: Path
) -> list[VideoReport]:
    """Predict the videos of a split with all processes; when this returns, every process finds the results there."""
    method.tracker = build_tracker(cfg, cfg.cache_dir) if method.needs_tracks else None
    method.prepare_inference(cfg, trainer.strategy.root_device, reader)
    reports = score_videos(method, reader, reader.video_names(split), folder, (trainer.global_rank, trainer.world_size),
                           barrier=trainer.strategy.barrier)
    trainer.strategy.barrier()
    return reports


def ranks_here() -> StartedRanks | ScheduledRanks | None:
    """This process as one of several of a job; None where it is alone."""
    return StartedRanks() if StartedRanks.detect() else ScheduledRanks() if ScheduledRanks.detect() else None


def build_trainer(cfg: DictConfig, method: Method) -> L.Trainer:
    """The trainer with callbacks and loggers; as a rank of several, with the strategy for it."""
    callbacks = [instantiate(c, **_monitored(c, method)) for c in cfg.callbacks.values() if c]
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    callbacks += [SharedBuffers(), EpochTimes(), CheckpointContent(content, method)]
    more: dict = {}
    environment = ranks_here()
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


def _monitored(callback: DictConfig, method: Method) -> dict[str, str]:
    """What a callback is told of the method's metric: one that watches a metric and names none watches this one."""
    if "monitor" not in callback or callback.monitor is not None:
        return {}
    told = {"monitor": method.monitor, "mode": method.mode}
    if "filename" in callback and callback.filename is None:
        told["filename"] = f"epoch{{epoch:03d}}-{method.monitor.rpartition('/')[2].lower()}_{{{method.monitor}:.2f}}"
    return told


def choose_checkpoint(
    cfg: DictConfig, trainer: L.Trainer, method: Method, reader: Reader
) -> tuple[Path, dict[str, float]]:
    """The checkpoint to test, and its validation scores.

    That is the one with the best value of the method's metric, or the best HOTA on the validation videos with tracker boxes;
    without validation videos the last one. ``select_by`` may also ask for the last one, or for that of an epoch.
    """
    callback = trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint):
        raise ConfigError("the configuration has no checkpoint callback", expected="callbacks.checkpoint")
    best = {path: float(value) for path, value in callback.best_k_models.items()}
    candidates = sorted(best, key=best.__getitem__, reverse=callback.mode == "max")
    chosen, scores = candidates[0] if candidates else callback.last_model_path, {}
    if cfg.select_by == "last":
        chosen = callback.last_model_path
    elif isinstance(cfg.select_by, int):
        chosen = getattr(callback, "kept_epoch_path", "")
    if not chosen:
        raise InputError("training left no checkpoint", file=callback.dirpath, hint="Raise optim.epochs")
    if candidates and cfg.select_by == "hota":
        hota = [_validation_hota(cfg, trainer, method, reader, Path(path)) for path in candidates]
        at = max(range(len(hota)), key=hota.__getitem__)
        chosen, scores = candidates[at], {"val/HOTA": hota[at]}
    found = {k: v for k, v in read_checkpoint(chosen)["flexhook"]["metrics"].items() if k != "val/loss"}
    return Path(chosen), {**found, **scores}


def _validation_hota(cfg: DictConfig, trainer: L.Trainer, method: Method, reader: Reader, path: Path) -> float:
    load_weights(method.module, read_checkpoint(path), path)
    scores = Path(cfg.run_dir) / ".select"
    _predict(cfg, trainer, method, reader, cfg.protocol.validate_on, scores)
    hota = evaluate_split(cfg, reader, cfg.protocol.validate_on, scores, None).metrics("val")["val/HOTA"]
    log.info(f"validation HOTA {hota:.2f} with tracker boxes: {path.name}")
    trainer.strategy.barrier()
    if trainer.global_rank == 0:
        shutil.rmtree(scores)
    trainer.strategy.barrier()
    return hota
