"""Options of scoring: those of the command, else those that the checkpoint was trained with."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf


def scoring_options(given: DictConfig, trained: DictConfig) -> DictConfig:
    """The options of scoring, where they are missing (``???``) those that the model was trained with.

    Args:
        given: ``scoring`` of the command.
        trained: The configuration in the checkpoint. What it does not have, of an earlier version, is left to the engine.
    """
    options, other = OmegaConf.create(), trained.get("scoring") or {}
    for key in given:
        if not OmegaConf.is_missing(given, key):
            options[key] = given[key]
        elif key in other:
            options[key] = other[key]
    return options
