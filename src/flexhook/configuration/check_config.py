"""Values of a configuration checked at the door: what is known to be of the wrong kind never reaches the machinery."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from flexhook.errors import ConfigError

Rule = tuple[Callable[[Any], bool], str]


def whole(low: int) -> Rule:
    """A whole number from ``low`` on."""
    return lambda v: type(v) is int and v >= low, f"a whole number, {low} or more"


def number(low: float, open_low: bool = False) -> Rule:
    """A finite number from ``low`` on, or only above it."""
    words = f"a number above {low:g}" if open_low else f"a number, {low:g} or more"
    return lambda v: type(v) in (int, float) and isfinite(v) and v >= low and not (open_low and v == low), words


def one_of(*values: str) -> Rule:
    """One of some words."""
    return lambda v: v in values, " or ".join(values)


def every(rule: Rule, count: int | None = None) -> Rule:
    """A list whose entries follow a rule."""
    fits, words = rule
    return (lambda v: isinstance(v, ListConfig) and all(map(fits, v)) and count in (None, len(v)),
            f"a list{f' of {count}' if count else ''}, each {words}")


def or_null(rule: Rule) -> Rule:
    """As a rule says, or null."""
    return lambda v: v is None or rule[0](v), f"{rule[1]}, or null"


def by_source(rule: Rule) -> Rule:
    """As a rule says, or a mapping of a mixture's sources to values that follow it."""
    fits, words = rule
    return (lambda v: fits(v) or (isinstance(v, DictConfig) and len(v) > 0 and all(map(fits, v.values()))),
            f"{words}, or one per source of a mixture")


share: Rule = (lambda v: type(v) in (int, float) and 0 < v < 1, "a number between 0 and 1")
switch: Rule = (lambda v: isinstance(v, bool), "true or false")
duration: Rule = (lambda v: isinstance(v, str) and re.fullmatch(r"\d+:\d\d:\d\d:\d\d", v) is not None, "DD:HH:MM:SS in quotes")
text: Rule = (lambda v: isinstance(v, str) and v != "", "a text")

RULES: dict[str, Rule] = {
    "name": text,
    "seed": whole(0),
    "image_size": every(whole(1), 2),
    "num_frames": whole(1),
    "span": whole(1),
    "grid": every(whole(1), 2),
    "num_reference_points": whole(0),
    "optim.epochs": whole(1),
    "optim.optimizer.lr": number(0),
    "optim.optimizer.eps": number(0),
    "optim.weight_decay": number(0),
    "optim.milestones": every(whole(0)),
    "optim.factor": number(0, open_low=True),
    "optim.warmup_steps": whole(0),
    "loss.match.positive_weight": share,
    "decoder.heads": whole(1),
    "decoder.gain": number(0),
    "decoder.expansion": whole(1),
    "alignment.weight": number(0),
    "alignment.queries": switch,
    "alignment.scale": number(0, open_low=True),
    "alignment.offset": (lambda v: type(v) in (int, float) and isfinite(v), "a number"),
    "alignment.positive_weight": share,
    "visual.map_scale": number(0, open_low=True),
    "freeze": every(one_of("visual", "text")),
    "cache_features": switch,
    "cache_dir": text,
    "select_by": (lambda v: v in ("monitor", "hota", "last") or (type(v) is int and v >= 1),
                  "monitor or hota, last, or the number of an epoch"),
    "ckpt_path": or_null(text),
    "test": switch,
    "pictures": switch,
    "sampling.expressions": or_null(whole(1)),
    "sampling.positives": whole(0),
    "sampling.noisy": switch,
    "sampling.max_tracks": whole(1),
    "sampling.pool": or_null(whole(1)),
    "sampling.group": whole(1),
    "sampling.stride": by_source(whole(1)),
    "sampling.batch_size": whole(1),
    "sampling.drop_unreferred": switch,
    "sampling.val_stride": by_source(whole(1)),
    "sampling.val_keep_every": by_source(whole(1)),
    "sampling.val_group": whole(1),
    "sampling.num_workers": whole(0),
    "sampling.keep_images": switch,
    "protocol.judge_last_observation": switch,
    "protocol.val_drop_unreferred": switch,
    "protocol.sequences": or_null(text),
    "protocol.train_on": every(text),
    "protocol.freeze_mode": one_of("eval", "train"),
    "trainer.accelerator": one_of("auto", "cpu", "gpu", "cuda"),
    "trainer.max_time": or_null(duration),
    "trainer.accumulate_grad_batches": whole(1),
    "trainer.gradient_clip_val": or_null(number(0)),
    "trainer.log_every_n_steps": whole(1),
    "scoring.frame_batch": whole(1),
    "scoring.smoothing": whole(0),
    "scoring.max_pairs": whole(1),
    "scoring.memory_budget": number(0),
    "scoring.num_workers": whole(1),
    "first_frame": whole(0),
    "method.model": text,
    "method.recover": whole(0),
    "method.fill_gaps": whole(0),
    "method.min_length": whole(1),
    "method.frame_rate": number(0, open_low=True),
    "frame_rate": or_null(number(0, open_low=True)),
    "threshold": or_null((lambda v: type(v) in (int, float) and 0 <= v <= 1, "a probability, 0 to 1")),
    "vote": (lambda v: isinstance(v, bool) or (type(v) is int and v >= 1), "true, false or a number of boxes"),
    "top_k": or_null(whole(1)),
    "frame_size": or_null(every(whole(1), 2)),
    "min_confidence": or_null(number(0)),
    "overlay": (lambda v: isinstance(v, bool) or v in ("each", "all"), "each, all or false"),
    "frames": or_null(whole(1)),
    "show": switch,
    "accelerator": one_of("auto", "cpu"),
}


def check_config(cfg: DictConfig) -> None:
    """Refuse a value of the wrong kind; what a configuration does not have is not asked for.

    Args:
        cfg: The configuration of a command.

    Raises:
        ConfigError: Naming the key, its value and what was expected.
    """
    for key, (fits, words) in RULES.items():
        above, _, name = key.rpartition(".")
        part = OmegaConf.select(cfg, above) if above else cfg
        if isinstance(part, DictConfig) and name in part and not fits(part[name]):
            raise ConfigError(f"{key} is {_shown(part[name])}", expected=words)


def _shown(value: Any) -> str:
    return repr(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)
