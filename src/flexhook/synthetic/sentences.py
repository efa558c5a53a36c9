"""The grammar: how a meaning is put into words, after the manner of Refer-KITTI-V2.

Each phrase belongs to one of two vocabularies. Training, validation and the seen test sentences use the open one; the
reserved one, and the reserved sentence frames, make the unseen paraphrases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexhook.synthetic.meanings import Meaning


@dataclass(frozen=True)
class Phrases:
    """Ways of saying one thing.

    Attributes:
        before: Open phrases that stand before the noun.
        after: Open phrases that stand after it.
        reserved: Reserved phrases that stand after it.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()


#: Open and reserved plural nouns.
_NOUNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "car": (("cars", "autos"), ("automobiles",)),
    "van": (("vans",), ("minivans",)),
    "truck": (("trucks",), ("lorries",)),
    "bus": (("buses",), ("passenger buses",)),
    "vehicle": (("vehicles",), ("motor vehicles",)),
    "pedestrian": (("pedestrians", "people on foot"), ("persons on foot",)),
    "cyclist": (("cyclists", "bike riders"), ("bicycle riders",)),
    "person": (("people", "persons"), ("individuals", "humans")),
}
_PAINT = Phrases(("{c}", "{c}-colored"), ("in {c}", "which are {c}"), ("painted in {c}", "of {c} color"))
_CLOTHES = Phrases((), ("in {c}", "wearing {c}", "dressed in {c}"), ("clad in {c}", "in {c} clothes"))
_SIDES = {
    "left": Phrases(("left",), ("in the left", "on the left"), ("on the left side", "positioned to the left")),
    "right": Phrases(("right",), ("in the right", "on the right"), ("on the right side", "positioned to the right")),
    "front": Phrases((), ("in front of ours", "ahead of us"), ("in front of our car", "straight ahead of us")),
}
_DISTANCES = {
    "near": Phrases((), ("near us", "close to the camera"), ("at a short distance", "in the foreground")),
    "far": Phrases((), ("far from us", "far away from the camera"), ("at a far distance", "in the distance")),
}
_DIRECTIONS = {
    "same": Phrases(
        ("same direction",),
        ("in the same direction of ours", "which face the same way as us"),
        ("oriented in the same direction as our car",),
    ),
    "counter": Phrases(
        ("opposite direction",),
        ("in the counter direction of ours", "which face the opposite way of us"),
        ("oriented in the opposite direction to our car",),
    ),
    "crossing": Phrases(("sideways facing",), ("facing sideways", "in a crossing direction"), ("oriented across our path",)),
}
_MOTIONS = {
    "moving": Phrases(("moving",), ("which are moving", "in motion"), ("on the move", "that are driving along")),
    "still": Phrases(
        ("parked", "parking"), ("which are parked", "which are parking"), ("standing still", "that are stationary")
    ),
    "walking": Phrases(("walking",), ("who are walking", "in motion"), ("who walk along", "on the move")),
    "standing": Phrases(
        ("standing",), ("who are standing", "who are standing still"), ("who stand there", "that are stationary")
    ),
    "riding": Phrases(("moving",), ("who are moving", "in motion"), ("on the move", "who ride along")),
    "turning": Phrases(("turning",), ("which are turning", "taking a turn"), ("making a turn", "that turn at the corner")),
    "turning left": Phrases((), ("turning left", "which are turning to the left"), ("making a left turn",)),
    "turning right": Phrases((), ("turning right", "which are turning to the right"), ("making a right turn",)),
    "approaching": Phrases(
        ("approaching",),
        ("getting closer to us", "which are coming closer"),
        ("drawing closer to us", "heading towards us"),
    ),
    "receding": Phrases(
        (),
        ("moving away from us", "which are getting farther away"),
        ("going away from us", "that get farther from us"),
    ),
}
_ORDER = ("colour", "direction", "motion", "side", "distance")


def word(meaning: Meaning, rng: np.random.Generator, *, reserved: bool = False) -> str:
    """Put a meaning into words.

    Args:
        meaning: What to say.
        rng: Chooses among the ways to say it.
        reserved: Use a reserved phrase or frame at least once; otherwise open ones only.

    Returns:
        A sentence in lower case without a full stop.
    """
    groups = [group for group in _ORDER if group in meaning.attributes]
    frame = "reserved" if reserved and rng.random() < 0.4 else "open"
    lexical = reserved and (frame == "open" or rng.random() < 0.4)
    strange: set[str] = set()
    if lexical:
        choice = ["noun", *groups]
        strange = set(rng.choice(choice, size=min(len(choice), 1 + int(rng.random() < 0.4)), replace=False).tolist())
    nouns = _NOUNS[meaning.noun]["noun" in strange]
    noun = _pick(nouns, rng)
    before: list[str] = []
    after: dict[str, str] = {}
    for group in groups:
        phrases = _phrases(meaning, group)
        if group in strange:
            after[group] = _pick(phrases.reserved, rng)
        else:
            k = int(rng.integers(len(phrases.before) + len(phrases.after)))
            if k < len(phrases.before) and (len(before) < 2 or not phrases.after):
                before.append(phrases.before[k])
            else:
                after[group] = _pick(phrases.after, rng)
    before.reverse()
    order = list(after)
    if len(order) > 1 and rng.random() < 0.3:
        order[-2:] = order[:-3:-1]
    after = {g: after[g] for g in order}
    sentence = (
        _reserved_frame(meaning, before, noun, after, rng) if frame == "reserved" else _open_frame(before, noun, after, rng)
    )
    if meaning.noun in ("pedestrian", "cyclist", "person"):
        sentence = sentence.replace("which ", "who ").replace("that ", "who ")
    return sentence


def _phrases(meaning: Meaning, group: str) -> Phrases:
    value = getattr(meaning, group)
    person = meaning.noun in ("pedestrian", "cyclist", "person")
    if group == "colour":
        table = _CLOTHES if person else _PAINT
        return Phrases(
            *(tuple(text.format(c=value) for text in texts) for texts in (table.before, table.after, table.reserved))
        )
    if group == "motion":
        if person:
            moving = {"pedestrian": "walking", "cyclist": "riding", "person": "moving"}[meaning.noun]
            value = {"moving": moving, "still": "standing"}.get(value, value)
        return _MOTIONS[value]
    return {"side": _SIDES, "distance": _DISTANCES, "direction": _DIRECTIONS}[group][value]


def _open_frame(before: list[str], noun: str, after: dict[str, str], rng: np.random.Generator) -> str:
    article = ["the"] if rng.random() < 0.2 else []
    return " ".join([*article, *before, noun, *after.values()])


def _reserved_frame(meaning: Meaning, before: list[str], noun: str, after: dict[str, str], rng: np.random.Generator) -> str:
    """A sentence built in one of the reserved ways that fit."""
    frames = ["there are", "those"]
    if after:
        frames += ["are", "are"]
    if meaning.side in ("left", "right") and "side" in after:
        frames += ["to the"] * 2
    frame = _pick(tuple(frames), rng)
    if frame == "to the":
        rest = [text for group, text in after.items() if group != "side"]
        return " ".join([f"to the {meaning.side} are", *before, noun, *rest])
    if frame == "are":
        *rest, last = after.values()
        last = _predicate(last)
        return " ".join(["the", *before, noun, *rest, last])
    return " ".join([frame, *before, noun, *after.values()])


def _predicate(phrase: str) -> str:
    """A phrase that stands after a noun, as a statement about it."""
    for opening in ("which are ", "who are ", "that are "):
        if phrase.startswith(opening):
            return "are " + phrase[len(opening) :]
    first, _, rest = phrase.partition(" ")
    return rest if first in ("which", "who", "that") else "are " + phrase


def _pick(texts: tuple[str, ...], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]
