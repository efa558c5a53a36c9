"""From a kind, a size and a colour to the parts of an object."""

from __future__ import annotations

from flexhook.synthetic.kinds import COLOURS
from flexhook.synthetic.parts import Part
from flexhook.synthetic.people import cyclist, pedestrian
from flexhook.synthetic.vehicles import bus, car, truck, van


def shape(kind: str, size: tuple[float, float, float], colour: str, stride: float = 0.0) -> list[Part]:
    """Parts of an object of a kind, (length, width, height) in metres and a colour of :data:`COLOURS`."""
    paint = COLOURS[colour]
    if kind == "pedestrian":
        return pedestrian(*size, paint, stride)
    if kind == "cyclist":
        return cyclist(*size, paint, stride)
    return {"car": car, "van": van, "truck": truck, "bus": bus}[kind](*size, paint)
