"""From a composed configuration to the dataset's reader, the method and the batches it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from hydra.errors import HydraException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from flexhook.configuration.check_config import check_config
from flexhook.configuration.mistakes import input_error_behind
from flexhook.configuration.stored_config import stored_config
from flexhook.configuration.trust import check_parts
from flexhook.datasets.cache import CachedReader
from flexhook.datasets.reader import Reader, load
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Video
from flexhook.structures.method import Method
from flexhook.training.checkpoint_file import HINT
from flexhook.training.checkpoints import load_weights, read_checkpoint
from flexhook.training.datamodule import VideoDataModule, require_videos

#: Pixels of an image's longer side, beyond which a checkpoint's configuration is refused.
MAX_SIDE = 16_384
#: What is built of a checkpoint's data.
DATA_PARTS = ("data.reader", "data.transform", "data.generator", "tracker")


def build_reader(cfg: DictConfig, cache_dir: str | None = None) -> CachedReader:
    """The dataset's reader with its cache; the synthetic world is made first where the configuration has a generator.

    Args:
        cfg: The configuration; its own ``cache_dir`` does not count: one from a file does not choose what is written.
        cache_dir: Folder of the caches, or ``off``; None for :func:`~flexhook.structures.disk_cache.cache_folder`'s.
    """
    if cfg.data.get("generator"):
        from flexhook.synthetic import ensure

        ensure(cfg.data.root, instantiate(cfg.data.generator))
    reader = instantiate(cfg.data.reader)
    return CachedReader(instantiate(cfg.data.transform)(reader) if cfg.data.get("transform") else reader, cache_dir)


def fill_read_cache(cfg: DictConfig, reader: CachedReader, share: tuple[int, int]) -> None:
    """Read this process's share of the training and validation videos, before every process takes all from the cache.

    Args:
        cfg: The configuration.
        reader: The dataset's reader.
        share: (rank, number of processes) on this machine.

    Raises:
        InputError: A video is missing or malformed.
    """
    splits = [*cfg.protocol.get("train_on", ["train"]), cfg.protocol.validate_on]
    names = (name for split in splits if split in reader.splits for name in reader.video_names(split))
    reader.fill(list(dict.fromkeys(names)), share)


def training_videos(cfg: DictConfig, reader: Reader) -> list[Video]:
    """The videos to train on: those of the protocol's splits, but for ones of another split that validate."""
    validating = set(reader.splits.get(cfg.protocol.validate_on, ()))
    splits = [split for split in cfg.protocol.get("train_on", ["train"]) if split in reader.splits]
    videos = [v for split in splits for v in load(reader, split) if split == "train" or v.name not in validating]
    return list({video.name: video for video in videos}.values())


def build_method(cfg: DictConfig) -> Method:
    """The method that ``cfg.method`` names, initialised from the seed."""
    torch.manual_seed(cfg.seed)
    return method_class(cfg).from_config(cfg)


def method_class(cfg: DictConfig) -> type[Method]:
    """The class of the method.

    Raises:
        ConfigError: The configuration names none.
    """
    if not isinstance(cfg.get("method"), DictConfig) or "_target_" not in cfg.method:
        raise ConfigError("the configuration has no method", expected="method with _target_", hint="Set method=flexhook")
    found = get_class(cfg.method._target_)
    if not issubclass(found, Method):
        raise ConfigError(f"{cfg.method._target_} is no method", expected="a subclass of flexhook.structures.method.Method")
    return found


def without_pretrained(cfg: DictConfig, pretrained: Sequence[str] | None) -> DictConfig:
    """A configuration whose encoders are not loaded, since a checkpoint will bring their weights.

    Args:
        cfg: A method's configuration with ``model.visual`` and ``model.text``.
        pretrained: As of :meth:`~flexhook.structures.method.Method.from_config`.
    """
    if pretrained is None:
        return cfg
    cfg = cfg.copy()
    for part in {"visual", "text"}.difference(name.rpartition(".")[2] for name in pretrained):
        source = {"pretrained": False, "weights": None}
        cfg.model[part].update({key: value for key, value in source.items() if key in cfg.model[part]})
    return cfg


def build_datamodule(cfg: DictConfig, reader: Reader, method: Method) -> VideoDataModule:
    """Training and validation videos, as batches of the method."""
    return VideoDataModule(
        method,
        train=require_videos(training_videos(cfg, reader), "train"),
        val=load(reader, cfg.protocol.validate_on) if cfg.protocol.validate_on in reader.splits else [],
        batch_size=cfg.sampling.batch_size,
        num_workers=cfg.sampling.num_workers,
        seed=cfg.seed,
    )


def load_method(path: str | Path, own: DictConfig | None = None) -> tuple[Method, DictConfig]:
    """A method as its checkpoint has it, in evaluation mode, and the configuration it was trained with.

    Args:
        path: The checkpoint.
        own: The command's own configuration, whose names are trusted.

    Raises:
        InputError: As :func:`~flexhook.training.checkpoints.read_checkpoint` and :func:`build_trained`.
    """
    checkpoint = read_checkpoint(path)
    return build_trained(checkpoint, path, own), trained_config(checkpoint, path)


def forget_generator(trained: DictConfig) -> None:
    """Leave out of a checkpoint's configuration what makes data: a file does not choose what is written."""
    if trained.get("data") and trained.data.get("generator"):
        trained.data.generator = None


def require_data(trained: DictConfig, path: str | Path, otherwise: str = "") -> None:
    """See that the data of a checkpoint are where its configuration says; data that the command makes need not be.

    Args:
        trained: The checkpoint's configuration.
        path: The checkpoint.
        otherwise: What the command at hand can be given instead, for the hint.

    Raises:
        InputError: They are not.
    """
    data = trained.data
    if not data.get("generator") and data.get("root") is not None and not Path(str(data.root)).expanduser().is_dir():
        raise InputError(f"the data that it was trained on, {data.get('name')}, are not in {data.root}", file=path,
                         expected="a folder, relative paths from the current folder",
                         hint=(f"{otherwise}, or run" if otherwise else "Run") + " the command where the training ran")


def trained_config(checkpoint: dict, path: str | Path) -> DictConfig:
    """The configuration in a checkpoint.

    Raises:
        InputError: It is malformed, see :func:`~flexhook.configuration.stored_config.stored_config`.
    """
    cfg = stored_config(checkpoint["flexhook"]["config"], path)
    for key in ("data", "scoring", "protocol"):
        if not isinstance(cfg.get(key), DictConfig):
            raise InputError(f"its configuration has no {key}", file=path, expected=f"a mapping {key}", hint=HINT)
    try:
        check_config(cfg)
    except ConfigError as error:
        raise InputError(f"its configuration is malformed: {error.problem}", file=path, expected=error.expected,
                         hint=HINT) from None
    if max(cfg.get("image_size") or [0]) > MAX_SIDE:
        raise InputError(f"its image_size is {list(cfg.image_size)}", file=path, expected=f"at most {MAX_SIDE} pixels",
                         hint=HINT)
    return cfg


def trained_method_class(trained: DictConfig, path: str | Path, own: DictConfig | None = None) -> type[Method]:
    """The class of a checkpoint's method, after its name has been checked.

    Raises:
        InputError: The checkpoint names none, or one that is not trusted.
    """
    check_parts(trained, ["method"], path, own)
    try:
        return method_class(trained)
    except ConfigError as error:
        raise InputError(error.problem, file=path, expected=error.expected, hint=HINT) from None


def build_trained(checkpoint: dict, path: str | Path, own: DictConfig | None = None) -> Method:
    """The method of a loaded checkpoint with its weights, in evaluation mode.

    Pretrained weights are asked for where the checkpoint leaves a part out, which it does with a frozen one.

    Args:
        checkpoint: What :func:`~flexhook.training.checkpoints.read_checkpoint` gave.
        path: Its name, for messages.
        own: The command's own configuration, whose names are trusted.

    Raises:
        InputError: The checkpoint names parts that are not trusted, the weights do not fit, or those of a frozen part cannot
            be had, or the settings are of another version.
    """
    cfg = trained_config(checkpoint, path)
    kind = trained_method_class(cfg, path, own)
    check_parts(cfg, kind.parts, path, own)
    try:
        method = kind.from_config(cfg, pretrained=list(checkpoint["flexhook"].get("frozen", {})))
    except (HydraException, OmegaConfBaseException, AttributeError, KeyError, TypeError, ValueError, RuntimeError,
            MemoryError) as error:
        known = input_error_behind(error)
        if known is not None:
            raise known from None
        said = str(error.__cause__ or error).strip().splitlines()
        raise InputError(f"its model cannot be made: {said[0] if said else repr(error)}", file=path,
                         expected="settings that this version knows",
                         hint="Use the version of flexhook that trained it, or train it again") from None
    load_weights(method.module, checkpoint, path)
    method.module.eval()
    return method
