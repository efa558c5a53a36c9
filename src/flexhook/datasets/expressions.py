"""File names and attribute groups of expressions, both found from the words of the sentence alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

from flexhook.datasets.vocabulary import FRONT, OBSERVER, RULES

#: The attribute groups, in the order in which tables show them.
ATTRIBUTES = ("class", "colour", "side", "direction", "motion", "distance")
_LONGEST_NAME = 200


def slug(sentence: str) -> str:
    """The field's file name of a sentence (no suffix): white space becomes hyphens, the rest stays as it is.

    Case and punctuation are kept ("in-silver,-cars-were-parked"), as in the published sequence lists. Path separators
    become hyphens too, and a name over 200 bytes is cut and marked with a digest, so that any sentence can name a file.
    """
    name = re.sub(r"[\s/\\\0]+", "-", sentence.strip())
    if name.startswith("."):
        name = "-" + name[1:]
    if len(name.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + "-" + digest
    return name


def unique_slugs(sentences: Sequence[str]) -> list[str]:
    """A slug per sentence, no two equal: repeats get ``-2``, ``-3``, ... in the order given."""
    out: list[str] = []
    taken: set[str] = set()
    for sentence in sentences:
        base = name = slug(sentence)
        count = 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add(name)
        out.append(name)
    return out


@lru_cache(maxsize=65536)
def _attributes(sentence: str) -> tuple[tuple[str, str], ...]:
    text = " ".join(re.sub(r"[^a-z0-9' ]+", " ", sentence.lower()).split())
    front = FRONT.search(text) is not None
    text = " ".join(OBSERVER.sub(" ours ", FRONT.sub(" infront ", text)).split())
    found: list[tuple[str, str]] = []
    for attribute, rules in RULES.items():
        values = []
        rest = text
        for value, pattern in rules:
            if pattern.search(rest):
                values.append(value)
                rest = pattern.sub(" ", rest)
        if attribute == "side" and front:
            values.append("front")
        if attribute == "class":
            values = _most_specific(values)
        if values:
            found.append((attribute, "+".join(sorted(set(values), key=values.index))))
    return tuple(found)


def attributes(sentence: str) -> dict[str, str]:
    """What a sentence says about its referents, by attribute group.

    The vocabulary is that of Refer-KITTI, V2, Refer-Dance and LaMOT, with wide synonyms. Mentions of the observer's own
    car ("the opposite direction of our vehicle") are no class. Several values of one group are joined by "+", in an
    order that does not depend on the sentence ("black+white" for a white shirt and black pants).

    Args:
        sentence: Any sentence, or a slug.

    Returns:
        A value for each of the groups class, colour, side, direction, motion and distance that the sentence mentions,
        e.g. ``{"class": "car", "colour": "black", "side": "left"}``.
    """
    return dict(_attributes(sentence.replace("-", " ")))


def _most_specific(values: list[str]) -> list[str]:
    """Drop the class that a more specific one in the same sentence includes ("individuals" who are "females")."""
    people = [v for v in values if v in ("woman", "man", "child", "cyclist")]
    wheels = [v for v in values if v in ("car", "truck", "van", "bus", "motorcycle")]
    return [v for v in values if not (v == "person" and people) and not (v == "vehicle" and wheels)]
