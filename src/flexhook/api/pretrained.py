"""A model without a checkpoint of ours: any text-grounded detector, and an associator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from flexhook.api.loading import named_device
from flexhook.api.model import Model

if TYPE_CHECKING:
    import torch

    from flexhook.methods.grounding.sentence_tracking import Repair
    from flexhook.structures.protocols import Associator, SentenceDetector


def grounding(
    model: str | Path | SentenceDetector = "IDEA-Research/grounding-dino-tiny",
    device: str | torch.device = "auto",
    *,
    threshold: float = 0.3,
    text_threshold: float = 0.0,
    iou_threshold: float = 0.7,
    short_side: int | None = None,
    sentence_batch: int = 8,
    associator: Associator | None = None,
    repair: Repair | None = None,
    cache_dir: str | Path | None = None,
) -> Model:
    """A model that has never been trained on referring videos: a pretrained detector finds what each sentence refers to.

    Args:
        model: Grounding DINO or MM-Grounding-DINO, a name on the hub or a folder; or a detector of your own, see
            :class:`~flexhook.structures.protocols.SentenceDetector`, which has thresholds of its own.
        device: As of :func:`flexhook.load`.
        threshold: As of :class:`~flexhook.methods.grounding.transformers_model.GroundedDetector`, as the four behind it.
        text_threshold: Likewise.
        iou_threshold: Likewise.
        short_side: Likewise.
        sentence_batch: Likewise.
        associator: Links the boxes of a sentence; None for OC-SORT.
        repair: What is done to tracks of whole videos afterwards; None for the defaults.
        cache_dir: Folder of the caches; None for ``$FLEXHOOK_CACHE`` or ``~/.cache/flexhook``, ``"off"`` for none.

    Returns:
        The model: :meth:`Model.predict` and :meth:`Model.stream` need no tracks.

    Raises:
        InputError: The detector's model cannot be had, or is of another kind.
        ConfigError: There is no such device, or a setting is out of its range.

    Example:
        >>> model = flexhook.grounding("IDEA-Research/grounding-dino-tiny")  # doctest: +SKIP
        >>> model.predict("clip.mp4", ["white cars"])["white cars"].to_mot("out/")  # doctest: +SKIP
    """
    from flexhook.methods.grounding.method import GroundingMethod
    from flexhook.methods.grounding.transformers_model import GroundedDetector
    from flexhook.trackers.associators.algorithms import OCSort

    place = named_device(device)
    detector: SentenceDetector
    if isinstance(model, str | Path):
        name = str(model)
        detector = GroundedDetector(name, threshold, text_threshold, iou_threshold, short_side, sentence_batch)
    else:
        name, detector = type(model).__name__, model
    method = GroundingMethod(detector, associator or OCSort(), repair, cache_dir=cache_dir)
    method.prepare_inference(OmegaConf.create(), place, None)
    return Model(method, name, place)
