"""What sentences can say about the objects of a scene, and which observations that is true of."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields, replace

import numpy as np

from flexhook.synthetic.scene import Scene
from flexhook.synthetic.thing import HISTORY
from flexhook.synthetic.visibility import Observations

#: Nouns and the kinds of objects that they name.
NOUNS: dict[str, tuple[str, ...]] = {
    "car": ("car",),
    "van": ("van",),
    "truck": ("truck",),
    "bus": ("bus",),
    "vehicle": ("car", "van", "truck", "bus"),
    "pedestrian": ("pedestrian",),
    "cyclist": ("cyclist",),
    "person": ("pedestrian", "cyclist"),
}
SIDES, DISTANCES, DIRECTIONS = ("left", "right", "front"), ("near", "far"), ("same", "counter", "crossing")
MOTIONS = ("moving", "still", "turning", "turning left", "turning right", "approaching", "receding")
#: Metres per second over the last HISTORY steps above which an object moves, on wheels and on foot.
MOVING, WALKING = 1.0, 0.5
#: Logarithm of the ratio of distances over HISTORY steps beyond which an object gets closer or farther: by 15 %. What only we
#: drive past mostly stays below, what itself comes or goes mostly above.
CLOSING = np.log(1.15)
#: Radians in HISTORY steps above which it turns.
TURNING = np.radians(9)
#: Middle of the box, as a share of the frame's width, below which an object is on the left; the right mirrors it.
LEFT = 0.40
#: Metres to the camera.
NEAR, FAR = 13.0, 22.0
#: Angle to our heading within which an object has our direction; beyond 180 degrees less it, the counter direction.
SAME = np.radians(45)

#: Pairs of values that no training or validation sentence combines; test sentences with one are unseen combinations. No pair of
#: a kind and a distance: how large a kind is where it counts as far, only sentences about both can teach.
RESERVED: tuple[frozenset[str], ...] = tuple(
    frozenset(pair.split("+"))
    for pair in (
        "red+van blue+truck green+bus yellow+car white+person black+cyclist"
        " van+moving truck+still bus+receding yellow+still blue+moving red+approaching"
        " car+left cyclist+right black+crossing white+counter green+left person+front red+right counter+right"
    ).split()
)


@dataclass(frozen=True, order=True)
class Meaning:
    """A conjunction of attribute values; an empty one says nothing.

    Attributes:
        noun: A key of :data:`NOUNS`.
        colour: A colour.
        side: "left", "right" or "front" of the frame.
        distance: "near" or "far".
        direction: Heading relative to ours: "same", "counter" or "crossing".
        motion: One of :data:`MOTIONS`.
    """

    noun: str
    colour: str = ""
    side: str = ""
    distance: str = ""
    direction: str = ""
    motion: str = ""

    @property
    def values(self) -> frozenset[str]:
        """The values that it combines."""
        return frozenset((self.noun, *self.attributes.values()))

    @property
    def reserved(self) -> bool:
        """Whether it combines values that training never combines; what holds of "people" holds of "pedestrians"."""
        values = self.values | {"person"} if self.noun == "pedestrian" else self.values
        return any(pair <= values for pair in RESERVED)

    @property
    def attributes(self) -> dict[str, str]:
        """What it says beside the noun: value by group."""
        return {f.name: value for f in fields(self)[1:] if (value := getattr(self, f.name))}

    def shorter(self) -> list[Meaning]:
        """The meanings that leave out one attribute."""
        return [replace(self, **{group: ""}) for group in self.attributes]


@dataclass(frozen=True, eq=False)
class Facts:
    """What is true of each observation of a scene; all arrays have (n,) entries.

    Attributes:
        kind: Kind of the object.
        colour: Its colour.
        side: Its side of the frame.
        distance: "near", "far" or "".
        direction: Its heading relative to ours.
        moving: Whether it moves in the world.
        turning: -1 to the left, 1 to the right, 0 not.
        closing: Logarithm of its distance to us HISTORY steps ago over that of now: positive when it gets closer.
    """

    kind: np.ndarray
    colour: np.ndarray
    side: np.ndarray
    distance: np.ndarray
    direction: np.ndarray
    moving: np.ndarray
    turning: np.ndarray
    closing: np.ndarray
    _where: dict[tuple[str, str], np.ndarray] = field(default_factory=dict, repr=False)

    def where(self, group: str, value: str) -> np.ndarray:
        """(n,) observations of which one attribute is true; ``group`` is a field of :class:`Meaning`."""
        if (group, value) not in self._where:
            if group == "noun":
                true = np.isin(self.kind, NOUNS[value])
            elif group == "motion":
                true = {
                    "moving": self.moving,
                    "still": ~self.moving,
                    "turning": self.turning != 0,
                    "turning left": self.turning < 0,
                    "turning right": self.turning > 0,
                    "approaching": self.closing > CLOSING,
                    "receding": self.closing < -CLOSING,
                }[value]
            else:
                true = getattr(self, group) == value
            self._where[group, value] = true
        return self._where[group, value]


def facts_of(scene: Scene, seen: Observations) -> Facts:
    """The facts behind every observation; motion is measured over the last HISTORY steps."""
    now = seen.frame + HISTORY
    poses = np.stack([thing.poses for thing in scene.things] or [scene.ego])
    pose, past = poses[seen.thing, now], poses[seen.thing, now - HISTORY]
    ego, ego_past = scene.ego[now], scene.ego[now - HISTORY]
    seconds = HISTORY / scene.frame_rate
    kind = np.array([thing.kind for thing in scene.things])[seen.thing]
    speed = np.hypot(*(pose - past)[:, :2].T) / seconds
    moving = speed > np.where(kind == "pedestrian", WALKING, MOVING)
    turned = pose[:, 2] - past[:, 2]
    distance = np.hypot(*(pose - ego)[:, :2].T)
    closing = np.log(np.hypot(*(past - ego_past)[:, :2].T) / distance)
    middle = (seen.box[:, 0] + seen.box[:, 2]) / 2 / scene.camera.size[1]
    heading = np.abs((pose[:, 2] - ego[:, 2] + np.pi) % (2 * np.pi) - np.pi)
    return Facts(
        kind=kind,
        colour=np.array([thing.colour for thing in scene.things])[seen.thing],
        side=np.where(middle < LEFT, "left", np.where(middle > 1 - LEFT, "right", "front")),
        distance=np.where(distance < NEAR, "near", np.where(distance > FAR, "far", "")),
        direction=np.where(heading < SAME, "same", np.where(heading > np.pi - SAME, "counter", "crossing")),
        moving=moving,
        turning=np.where(moving & (np.abs(turned) > TURNING), np.sign(turned), 0).astype(int),
        closing=closing,
    )


def referents(facts: Facts, meaning: Meaning) -> np.ndarray:
    """(n,) observations that a meaning is true of."""
    true = facts.where("noun", meaning.noun).copy()
    for group, value in meaning.attributes.items():
        true &= facts.where(group, value)
    return true


def every_meaning(colours: tuple[str, ...], most: int = 3) -> list[Meaning]:
    """All meanings with at most ``most`` attributes beside the noun that make sense in words."""
    out = []
    for noun, colour, side, distance, direction, motion in itertools.product(
        NOUNS, ("", *colours), ("", *SIDES), ("", *DISTANCES), ("", *DIRECTIONS), ("", *MOTIONS)
    ):
        meaning = Meaning(noun, colour, side, distance, direction, motion)
        if len(meaning.values) - 1 <= most and _makes_sense(meaning):
            out.append(meaning)
    return out


def _makes_sense(meaning: Meaning) -> bool:
    """People have no direction and do not turn; "turning left" is not said beside "on the left"."""
    turns = meaning.motion.startswith("turning")
    person = meaning.noun in ("pedestrian", "cyclist", "person")
    return not (person and (meaning.direction or turns)) and not (turns and meaning.side in ("left", "right"))
