"""Two-stage referring-by-tracking as a method: a tracker makes trajectories, a referring model scores every pair."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import ConfigError, InputError
from flexhook.methods.two_stage.engine import Points, ScoringEngine
from flexhook.methods.two_stage.feature_cache import visual_settings
from flexhook.methods.two_stage.module import ReferringModule
from flexhook.methods.two_stage.stream import FORGET_AFTER, TwoStageStream
from flexhook.methods.two_stage.window_data import WindowData
from flexhook.structures import Expression, Video
from flexhook.structures.disk_cache import cache_folder
from flexhook.structures.files import write_json
from flexhook.structures.method import Method, PredictionReport, ResultWriter
from flexhook.structures.reference_points import NAME as REFERENCE_POINTS
from flexhook.structures.reference_points import read_reference_points
from flexhook.training.build import training_videos, without_pretrained

log = logging.getLogger(__name__)


class TwoStageMethod(Method):
    """FlexHook, iKUN and what lies between them: they differ in the model, which ``cfg.model`` makes.

    Args:
        cfg: The composed configuration.
        module: Model, losses, optimiser and freezing.
    """

    needs_tracks = True
    parts = ("model", "alignment")

    def __init__(self, cfg: DictConfig, module: ReferringModule) -> None:
        self.cfg, self.module, self.name = cfg, module, cfg.method.name
        self.image_size = (int(cfg.image_size[0]), int(cfg.image_size[1]))
        self.engine: ScoringEngine | None = None
        self._data: WindowData | None = None
        self._trained_on: Sequence[Video] | None = None

    @classmethod
    def from_config(cls, cfg: Any, pretrained: Sequence[str] | None = None) -> TwoStageMethod:
        """Build the model, initialised from the seed, and what trains it, where the configuration says how."""
        cfg = without_pretrained(cfg, pretrained)
        torch.manual_seed(cfg.seed)
        model = instantiate(cfg.model)
        loss, optim = (cfg.get("loss"), cfg.get("optim")) if pretrained is None else (None, None)
        settings: dict[str, Any] = {}
        if optim:
            settings = {
                "optimizer": instantiate(optim.optimizer), "weight_decay": optim.weight_decay,
                "milestones": tuple(optim.milestones), "factor": optim.factor, "warmup_steps": optim.warmup_steps,
                "freeze": tuple(cfg.freeze), "freeze_mode": cfg.protocol.freeze_mode, "seed": cfg.seed,
            }  # fmt: skip
        module = ReferringModule(
            model=model,
            loss=instantiate(loss.match) if loss else None,
            regulariser=instantiate(loss.regulariser) if loss and loss.get("regulariser") else None,
            alignment=model.make_alignment(instantiate(cfg.alignment)) if cfg.get("alignment") else None,
            **settings,
        )
        return cls(cfg, module)

    @property
    def network(self) -> Any:
        """The referring model."""
        return self.module.model

    def frozen_parts(self) -> dict[str, Any]:
        """Frozen encoders in evaluation mode; one whose batch statistics go on moving is kept whole."""
        constant = self.module.frozen if self.module.freeze_mode == "eval" else ()
        return {f"model.{name}": getattr(self.module.model, name) for name in constant}

    @property
    def data(self) -> WindowData:
        """Items and batches of the configuration."""
        if self._data is None:
            cfg = self.cfg
            if cfg.sampling.get("items") is None:
                raise ConfigError("the configuration has no sampling.items", hint="Choose sampling=windows or sampling=clips")
            cache = cache_folder(cfg.cache_dir)
            self._data = WindowData(
                items=instantiate(cfg.sampling["items"]),
                val_items=instantiate(cfg.sampling.val_items),
                swap=instantiate(cfg.perturbation.swap),
                tokenize=self.network.text.tokenize,
                image_size=tuple(cfg.image_size),
                keep_images=cfg.sampling.keep_images,
                image_cache=cache / "images" if cache and cfg.sampling.cache_images else None,
            )
        return self._data

    def train_items(self, videos: Sequence[Video], seed: int) -> Any:
        """Windows or clips, see :mod:`flexhook.sampling.items`.

        Raises:
            ConfigError: Several items per batch, of items of which a batch holds one.
        """
        items, count = self.data.train_items(videos, seed), self.cfg.sampling.batch_size
        self._trained_on = videos
        if count > 1 and items.one_per_batch:
            raise ConfigError(f"sampling.batch_size is {count} with sampling.expressions=null",
                              expected="1: items whose windows have the same expressions come one at a time",
                              hint="Raise sampling.group instead, or set sampling.expressions to a number")
        return items

    def val_items(self, videos: Sequence[Video]) -> Any:
        """Validation windows, see :class:`~flexhook.sampling.items.ValidationItems`."""
        return self.data.val_items(videos)

    def describe_items(self, items: Any) -> str:
        """The number of validation windows."""
        return f"{items.num_windows} validation windows"

    def collator(self, split: str, videos: Sequence[Video]) -> Callable[[Sequence[Any]], Any]:
        """What makes a batch of windows."""
        return self.data.collator(split, videos)

    def fill_caches(self, videos: Sequence[Video]) -> None:
        """Fill the cache of resized images."""
        self.data.fill_caches(videos)

    def prepare_training(self, trainer: Any, videos: Sequence[Video]) -> None:
        """Compute the features of frozen encoders that are not cached yet, where ``cache_features`` asks for it.

        Raises:
            ConfigError: No encoder is frozen in evaluation mode, or ``cache_dir`` is off.
        """
        cfg, frozen = self.cfg, self.module.frozen
        if not cfg.cache_features:
            return
        if not frozen or cfg.protocol.freeze_mode != "eval":
            raise ConfigError("cache_features=true needs frozen encoders in evaluation mode",
                              expected="freeze=[visual], [text] or both, and protocol.freeze_mode=eval",
                              hint="Freeze an encoder or set cache_features=false")
        folder = cache_folder(cfg.cache_dir)
        if folder is None:
            raise ConfigError("cache_features=true with cache_dir=off", expected="a folder for the features",
                              hint="Set cache_dir to a folder, or cache_features=false")
        log.info("computing the frozen encoders' features that are not cached yet")
        self.network.eval()
        self.network.to(trainer.strategy.root_device)
        self.data.fill_features(
            self.network, videos, folder / "features", "visual" in frozen, "text" in frozen,
            (trainer.global_rank, trainer.world_size), str(trainer.precision), trainer.precision_plugin.forward_context,
        )

    def prepare_inference(self, cfg: Any, device: Any, reader: Any) -> None:
        """Make the engine that ``cfg.scoring`` describes; a calibration is fitted on the training videos."""
        self.engine = build_engine(self.network, cfg, device, reader, self._trained_on)

    def key(self) -> str:
        """Weights, grids, image size, precision and calibration; the writer adds smoothing."""
        assert self.engine is not None
        return engine_key(self.engine)

    def predict(self, video: Video, expressions: Sequence[Expression], writer: ResultWriter) -> PredictionReport:
        """Score every (observation, expression) pair of the tracker's trajectories.

        Raises:
            ConfigError: There is no tracker.
        """
        assert self.engine is not None
        if self.tracker is None:
            raise ConfigError(f"the method {self.name} scores tracks, and there is no tracker", expected="a tracker")
        tracks = self.tracker.track(video)
        with writer.pairs(tracks, self.engine.smoothing) as pairs:
            report = self.engine.score(video, tracks, expressions, pairs)
        again = f", {report.frames_again} frames encoded again" if report.frames_again else ""
        return PredictionReport(
            report.frames, f"{report.windows} windows x {report.expressions} expressions, {report.frames} frames{again}")

    def stream(
        self, expressions: Sequence[str], frame_size: tuple[int, int], forget_after: int = FORGET_AFTER, smoothing: int = 0
    ) -> TwoStageStream:
        """As of the parent; the options are those of :class:`~flexhook.methods.two_stage.stream.TwoStageStream`."""
        assert self.engine is not None
        return TwoStageStream(self.engine, expressions, frame_size, forget_after, smoothing)

    def write_extras(
        self, folder: Path, expressions: Mapping[str, Sequence[Expression]], kept: Sequence[str] = ()
    ) -> None:
        """``reference_points.json``: the reference points of each sentence, for the pictures; none without conditioning."""
        assert self.engine is not None
        sentences = dict.fromkeys(e.sentence for named in expressions.values() for e in named)
        merge_reference_points(Path(folder), self.engine.reference_points(list(sentences)), kept)


def build_engine(
    model: Any, cfg: Any, device: torch.device, reader: Any = None, trained_on: Sequence[Video] | None = None
) -> ScoringEngine:
    """The engine that ``cfg.scoring`` describes.

    Args:
        model: A referring model.
        cfg: The configuration.
        device: Where to compute.
        reader: The dataset, on whose training videos a calibration is fitted.
        trained_on: These videos, where a training has read them already.

    Raises:
        ConfigError: There is a calibration and no dataset.
    """
    options: Any = OmegaConf.to_container(cfg.scoring, resolve=True)
    calibration, exit_scale = options.pop("calibration", None), options.pop("exit_scale", None)
    if exit_scale is not None:
        model = model.first_scales(exit_scale)
    engine = ScoringEngine(model, model.text.tokenize, tuple(cfg.image_size), device, **options)
    if calibration is not None:
        if reader is None and trained_on is None:
            raise ConfigError("a calibration counts the training sentences, and there is no dataset",
                              expected="scoring.calibration=null")
        videos = training_videos(cfg, reader) if trained_on is None else trained_on
        engine.calibration = instantiate(calibration).fit(videos, engine.sentence_features)
    return engine


def engine_key(engine: ScoringEngine) -> str:
    """What makes an engine's scores, as a text."""
    seen = f"{visual_settings(engine.model.visual)} {engine.model.grids}"
    key = f"{weights_fingerprint(engine.model)} {seen} {engine.image_size} {engine.dtype}"
    return f"{key} {engine.calibration}" if engine.calibration else key


def merge_reference_points(folder: Path, points: Points, kept: Sequence[str]) -> None:
    """Write ``reference_points.json``.

    Args:
        folder: The folder of scores.
        points: What to write.
        kept: Other sentences, whose points stay where the file has them.
    """
    path = folder / REFERENCE_POINTS
    there = {}
    if kept and path.is_file():
        with contextlib.suppress(InputError):
            there = {s: [scale.tolist() for scale in scales] for s, scales in read_reference_points(path).items()}
    merged = {sentence: there[sentence] for sentence in kept if sentence in there} | points
    if merged:
        write_json(path, merged)
    else:
        path.unlink(missing_ok=True)
