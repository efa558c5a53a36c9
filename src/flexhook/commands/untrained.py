"""Methods that need no training, named on the command line in place of a checkpoint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from flexhook.configuration.resolvers import config_folder
from flexhook.errors import ConfigError
from flexhook.inference.scoring_options import scoring_options

if TYPE_CHECKING:
    from flexhook.structures.method import Method

#: Parts of a command's configuration that an untrained method is built and used with.
PARTS = ("method", "associator", "data")


def names_method(cfg: DictConfig) -> bool:
    """Whether a command names a method in place of a checkpoint.

    Raises:
        ConfigError: It names both, or neither.
    """
    named = bool(cfg.get("method"))
    checkpoint = not OmegaConf.is_missing(cfg, "ckpt") and cfg.ckpt is not None
    if named and checkpoint:
        raise ConfigError("ckpt and method are both given", expected="one of them", hint="A checkpoint names its method")
    if not named and not checkpoint:
        raise ConfigError("ckpt is missing", expected="ckpt=PATH, a checkpoint that `flexhook train` made",
                          hint="Without one, method=grounding takes a pretrained model")
    return named


def untrained_config(cfg: DictConfig) -> DictConfig:
    """The configuration of a method that needs no training, as a run folder holds it.

    Args:
        cfg: The command's configuration.

    Raises:
        ConfigError: The method needs a checkpoint.
    """
    from flexhook.training.build import method_class

    if method_class(cfg).needs_training:
        raise needs_checkpoint(cfg.method.get("name"))
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    own = OmegaConf.create({key: plain[key] for key in PARTS if plain.get(key)})
    OmegaConf.resolve(own)
    protocol = OmegaConf.load(config_folder() / "protocol/default.yaml")
    return OmegaConf.create({
        "name": own.method.get("name"), "seed": 0, **own, "tracker": None, "protocol": protocol,
        "scoring": scoring_options(cfg.scoring, OmegaConf.create()),
    })  # fmt: skip


def build_untrained(cfg: DictConfig) -> Method:
    """The method of a configuration without a checkpoint.

    Args:
        cfg: What :func:`untrained_config` gave.

    Raises:
        InputError: What it is made of cannot be had.
    """
    from flexhook.training.build import method_class

    return method_class(cfg).from_config(cfg)


def needs_checkpoint(name: str) -> ConfigError:
    """The message for a method that is trained."""
    return ConfigError(f"the method {name} needs a checkpoint, which also names it", expected="ckpt=PATH without method=",
                       hint="method=grounding is one that needs none")


def explain_method(error: Exception, command: str) -> ConfigError | None:
    """A message for a method whose configuration belongs to training alone; None for another error."""
    found = re.search(r"In 'method/(\w+)'", str(error))
    if command == "train" or not isinstance(error, ConfigCompositionException) or not found:
        return None
    return needs_checkpoint(found[1])
