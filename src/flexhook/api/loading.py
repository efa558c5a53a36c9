"""From a run folder or a checkpoint to a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from flexhook.api.model import Model
from flexhook.errors import ConfigError
from flexhook.training.build import build_trained, trained_config
from flexhook.training.checkpoint_file import checkpoint_file
from flexhook.training.checkpoints import read_checkpoint

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

TRAINED = ("precision", "exit_scale", "smoothing")  #: Options of scoring that a checkpoint decides.
GPU_FRAME_BATCH = 8


def load(
    path: str | Path, device: str | torch.device = "auto", *, precision: str | None = None, smoothing: int | None = None
) -> Model:
    """Load a trained model.

    What a checkpoint names is built only where it is one of FlexHook's own parts or of a package that the variable
    ``FLEXHOOK_TRUST`` lists, so that a checkpoint from somebody else runs no code of its own.

    Args:
        path: A run folder, of which the checkpoint is taken that its training chose, or a checkpoint file.
        device: ``"auto"`` takes the first GPU, if any; else ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or a ``torch.device``.
        precision: ``"float32"`` or ``"bf16"``; None is as trained.
        smoothing: Observations of its track on either side that each one's scores are averaged with when whole videos are
            predicted; None is as trained. A larger number steadies decisions and blurs when they change.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: There is no checkpoint, or it is damaged, not of FlexHook, or names parts that are not trusted.
        ConfigError: There is no such device, or an option is out of its range.

    Example:
        >>> model = flexhook.load("outputs/latest")  # doctest: +SKIP
        >>> model.predict("clip.mp4", ["white cars"], tracks="tracks.txt")["white cars"].to_dataframe()  # doctest: +SKIP
    """
    place = named_device(device)
    file = checkpoint_file(path)
    checkpoint = read_checkpoint(file)
    cfg = trained_config(checkpoint, file)
    trained: Any = cfg.get("scoring") or {}
    options = {name: trained[name] for name in TRAINED if trained.get(name) is not None}
    options |= {"frame_batch": GPU_FRAME_BATCH if place.type == "cuda" else 1}
    options |= {} if precision is None else {"precision": precision}
    if smoothing is not None:
        if isinstance(smoothing, bool) or not isinstance(smoothing, int) or smoothing < 0:
            raise ConfigError(f"smoothing is {smoothing!r}", expected="a whole number, 0 or more")
        options["smoothing"] = smoothing
    if trained.get("calibration"):
        log.warning("the model was scored with a calibration that counts its training sentences; it is left out here")
    method = build_trained(checkpoint, file)
    cfg.scoring = OmegaConf.create(options)
    method.prepare_inference(cfg, place, None)
    return Model(method, file, place, checkpoint["flexhook"].get("words", []))


def named_device(name: str | torch.device) -> torch.device:
    """The device of that name.

    Raises:
        ConfigError: There is none.
    """
    import torch

    from flexhook.inference.prediction import best_device

    if str(name) == "auto":
        return best_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"the device is {str(name)!r} ({str(error).splitlines()[0]})",
                          expected='"auto", "cpu", "cuda" or "cuda:1"') from None
    return device
