"""What the world is populated with: kinds of objects, their sizes, shares and colours."""

from __future__ import annotations

from dataclasses import dataclass

#: Paint and clothes, RGB.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 28, 30),
    "blue": (30, 75, 205),
    "green": (25, 145, 55),
    "yellow": (240, 200, 25),
    "white": (240, 240, 238),
    "black": (26, 26, 30),
}

#: Categories of the labels, in the order of their class numbers in the label files.
CATEGORIES = ("pedestrian", "car")


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    The heights of cars, vans, trucks and buses overlap by design: a box alone must not tell them apart.

    Attributes:
        category: Class of the label and tracker files.
        share: Share of the observations that the simulation aims at.
        length: (least, greatest) metres along the heading.
        width: (least, greatest) metres across it.
        height: (least, greatest) metres.
        speed: (least, greatest) metres per second while it moves.
        turn_radius: (least, greatest) metres.
        on_foot: Whether it walks, anywhere and mostly across our view, instead of driving in lanes.
    """

    category: str
    share: float
    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    speed: tuple[float, float]
    turn_radius: tuple[float, float] = (6.0, 9.0)
    on_foot: bool = False


KINDS: dict[str, Kind] = {
    "car": Kind("car", 0.22, (3.8, 4.8), (1.7, 1.95), (1.5, 1.9), (6.0, 9.0)),
    "van": Kind("car", 0.17, (4.4, 5.8), (1.85, 2.1), (1.8, 2.5), (6.0, 9.0)),
    "truck": Kind("car", 0.17, (5.2, 7.0), (2.0, 2.4), (2.1, 3.0), (6.0, 9.0), (7.0, 9.0)),
    "bus": Kind("car", 0.16, (6.0, 8.5), (2.1, 2.45), (2.2, 3.0), (6.0, 9.0), (7.5, 9.5)),
    "pedestrian": Kind("pedestrian", 0.16, (0.4, 0.5), (0.5, 0.6), (1.6, 1.9), (1.6, 2.2), on_foot=True),
    "cyclist": Kind("pedestrian", 0.12, (1.6, 1.8), (0.5, 0.6), (1.6, 1.85), (3.5, 5.0), (4.0, 6.0)),
}
