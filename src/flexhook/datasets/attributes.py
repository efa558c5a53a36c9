"""Attribute groups of expressions, found from the words of the sentence alone."""

from __future__ import annotations

import re
from functools import lru_cache

from flexhook.datasets.vocabulary import FRONT, OBSERVER, RULES

#: The attribute groups, in the order in which tables show them.
ATTRIBUTES = ("class", "colour", "side", "direction", "motion", "distance")


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
