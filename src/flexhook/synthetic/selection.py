"""Which sentences each video gets, seen and unseen ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from flexhook.errors import ConfigError
from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.kinds import COLOURS
from flexhook.synthetic.meanings import Facts, Meaning, every_meaning, referents
from flexhook.synthetic.sentences import word

#: Tags of test sentences.
UNSEEN_COMBINATION, UNSEEN_PARAPHRASE = "unseen_combination", "unseen_paraphrase"
#: A sentence is true of at least and at most this share of a video's observations, and of at least so many.
_RAREST, _MOST_COMMON, _FEWEST = 0.03, 0.45, 6
#: Leaving out any attribute must make a sentence true of at least this many times as many observations.
_EVERY_WORD_COUNTS = 1.2
#: Of the sentences, shares with 0, 1, 2 and 3 attributes beside the noun.
_LENGTHS = np.array([0.07, 0.50, 0.38, 0.05])


@dataclass(frozen=True, eq=False)
class Statement:
    """A sentence about a video.

    Attributes:
        sentence: Its words.
        meaning: What it says.
        true: (n,) observations of the video that it is true of.
        tags: Why it is unseen in training, if it is.
    """

    sentence: str
    meaning: Meaning
    true: np.ndarray
    tags: tuple[str, ...] = ()


def select(videos: dict[str, Facts], config: WorldConfig) -> dict[str, list[Statement]]:
    """Choose the sentences of all videos.

    Args:
        videos: Facts by video name, of all splits.
        config: The world.

    Returns:
        Statements by video name. Test statements without a tag are verbatim in a training video.

    Raises:
        ConfigError: The world is so small that a video would have no sentence.
    """
    every = every_meaning(tuple(COLOURS))
    chosen: dict[str, list[Statement]] = {}
    said: dict[str, Meaning] = {}
    for number, name in enumerate([*config.splits["train"], *config.splits["val"]]):
        rng = np.random.default_rng([config.seed, number, 5])
        true = {m: t for m, t in _candidates(videos[name], every).items() if not m.reserved}
        train = name in config.splits["train"]
        wanted = config.expressions if train else max(1, round(config.expressions * 2 / 3))
        chosen[name] = [Statement(_fresh_words(m, rng, said), m, true[m]) for m in _choose(list(true), wanted, config, rng)]
        if train:
            said |= {s.sentence: s.meaning for s in chosen[name]}
    for number, name in enumerate(config.splits["test"]):
        rng = np.random.default_rng([config.seed, number, 6])
        chosen[name] = _test_statements(_candidates(videos[name], every), said, config, rng)
    for name, statements in chosen.items():
        if not statements:
            raise ConfigError(
                f"nothing can be said about video {name} of the synthetic world",
                expected="a sentence that is true of some of its objects and, in a test video, said in training",
                hint="Raise frames, expressions, train_videos or objects_per_frame",
            )
    return {name: sorted(statements, key=lambda s: s.sentence) for name, statements in chosen.items()}


def _test_statements(
    true: dict[Meaning, np.ndarray], said: dict[str, Meaning], config: WorldConfig, rng: np.random.Generator
) -> list[Statement]:
    """Sentences of a test video: seen ones, unseen combinations and unseen paraphrases."""
    known = set(said.values())
    values = frozenset().union(*(m.values for m in known))
    new = [m for m in true if m.reserved and m.values <= values]
    old = [m for m in true if m in known]
    half = min(round(config.unseen_share * config.expressions / 2), len(new), len(old)) if config.unseen_share else 0
    wanted = config.expressions - 2 * half
    if half:
        wanted = min(wanted, int(2 * half * (1 / config.unseen_share - 1)))
    combinations, paraphrases, seen = (_choose(*c, config, rng) for c in ((new, half), (old, half), (old, wanted)))
    wordings: dict[Meaning, list[str]] = {}
    for sentence, meaning in said.items():
        wordings.setdefault(meaning, []).append(sentence)
    out = [Statement(str(rng.choice(wordings[m])), m, true[m]) for m in seen]
    out += [Statement(word(m, rng), m, true[m], (UNSEEN_COMBINATION,)) for m in combinations]
    out += [Statement(word(m, rng, reserved=True), m, true[m], (UNSEEN_PARAPHRASE,)) for m in paraphrases]
    return list({s.sentence: s for s in out}.values())


def _fresh_words(meaning: Meaning, rng: np.random.Generator, said: dict[str, Meaning]) -> str:
    """Open words for a meaning, half of the time rather new ones."""
    sentence = word(meaning, rng)
    return word(meaning, rng) if sentence in said and rng.random() < 0.5 else sentence


def _candidates(facts: Facts, every: list[Meaning]) -> dict[Meaning, np.ndarray]:
    """Meanings that are true of some but not too many observations, and of which every word counts."""
    n = len(facts.kind)
    true = {m: referents(facts, m) for m in every}
    count = {m: int(t.sum()) for m, t in true.items()}
    return {
        m: true[m]
        for m in every
        if max(_FEWEST, _RAREST * n) <= count[m] <= _MOST_COMMON * n
        and all(count[less] >= _EVERY_WORD_COUNTS * count[m] for less in m.shorter())
    }


def _choose(candidates: list[Meaning], wanted: int, config: WorldConfig, rng: np.random.Generator) -> list[Meaning]:
    """At most ``wanted`` meanings that use all values about equally often, with the configured share of motion."""
    left = list(candidates)
    used: Counter[str] = Counter()
    out: list[Meaning] = []
    while left and len(out) < wanted:
        motion = rng.random() < config.motion_share
        length = int(rng.choice(len(_LENGTHS), p=_LENGTHS))
        pool = [m for m in left if bool(m.motion) == motion and len(m.values) - 1 == length]
        pool = pool or [m for m in left if bool(m.motion) == motion] or left
        weight = np.array([1 / (1 + sum(used[v] for v in m.values)) ** 2 for m in pool])
        pick = pool[int(rng.choice(len(pool), p=weight / weight.sum()))]
        left.remove(pick)
        used.update(pick.values)
        out.append(pick)
    return out
