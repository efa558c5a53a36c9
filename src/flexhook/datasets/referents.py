"""The object ``{"<frame>": [ids]}`` of expression files, as columns.

A dataset has thousands of such files with millions of numbers in them, nearly all written by ``json.dump`` in one form.
:func:`scan` reads that form several times faster than a JSON parser; everything else, and everything that is wrong, is
left to the JSON parser and :func:`parse`, which know what to say about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import numpy as np

#: Frames and identities stay exactly representable as float64.
LARGEST = 2**53
_SPACES = str.maketrans(":;,", "   ")


@dataclass(frozen=True, eq=False)
class Referents:
    """What an expression refers to.

    Attributes:
        frame: (m,) int64, 0-based.
        identity: (m,) int64.
    """

    frame: np.ndarray
    identity: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)


def parse(label: dict, first_frame: int, fail: Callable[[str, str, str], None]) -> Referents:
    """Referents from the parsed object.

    Args:
        label: ``{"<frame>": [ids]}`` as the JSON parser gives it.
        first_frame: Number of the first frame.
        fail: Called with (problem, frame key, kind) for each entry that is wrong; the entry is left out if it returns.
    """
    by_frame: dict[int, list[int]] = {}
    for key, ids in label.items():
        if not (key.isascii() and key.isdigit() and len(key) < 16):
            fail(f"the frame {key[:40]!r} is not a whole number", key, "bad-frame")
            continue
        frame = int(key) - first_frame
        if frame < 0:
            fail(f"frame {key} is before the first frame {first_frame}", key, "bad-frame")
        elif frame in by_frame:
            fail(f"frame {int(key)} occurs twice", key, "bad-frame")
        elif type(ids) is not list or not all(type(i) is int and 0 <= i < LARGEST for i in ids):
            fail(f"the identities of frame {key} are {str(ids)[:60]}", key, "bad-identity")
        else:
            if len(set(ids)) < len(ids):
                fail(f"frame {key} names an identity twice", key, "repeated-referent")
            by_frame[frame] = ids
    counts = [len(ids) for ids in by_frame.values()]
    frames = np.repeat(np.fromiter(by_frame, np.int64, len(counts)), counts)
    return Referents(frames, np.array(list(chain.from_iterable(by_frame.values())), np.int64))


def cut(text: str, key: str) -> tuple[str, str] | None:
    """Cut the object named ``key`` out of a JSON text.

    Returns:
        The text with ``{}`` in its place, and what stood between the braces; None where the text does not have it
        exactly once, or another object is nested in it.
    """
    start = f'"{key}": {{'
    at = text.find(start)
    if at < 0 or text.find(f'"{key}"', at + 1) >= 0:
        return None
    begin = at + len(start)
    end = text.find("}", begin)
    if end < 0 or text.find("{", begin, end) >= 0:
        return None
    return text[:begin] + text[end:], text[begin:end]


def scan(body: str, first_frame: int) -> Referents | None:
    """Referents from what stands between the braces, if it is sound and written as ``json.dump`` writes it.

    Returns:
        The referents, equal to what :func:`parse` would give without complaint; None otherwise.
    """
    if not body:
        return Referents(np.zeros(0, np.int64), np.zeros(0, np.int64))
    if body[0] != '"' or body[-1] != "]" or not body.isascii():
        return None
    # "3": [1, 2], "4": []   becomes   3:1,2;4:
    short = body[1:-1].replace('": [', ":").replace('], "', ";").replace(", ", ",")
    data = np.frombuffer(short.encode(), np.uint8)
    digit = (data >= ord("0")) & (data <= ord("9"))
    marks = np.flatnonzero(~digit)
    kinds = data[marks]
    keys, between = kinds == ord(":"), kinds == ord(";")
    if not (keys | between | (kinds == ord(","))).all():
        return None
    # The number before a colon is a frame: the first number is one, those after a semicolon are, and no other.
    is_frame = np.append(keys, False)
    if (is_frame != np.append(True, between)).any():
        return None
    starts, ends = np.append(-1, marks) + 1, np.append(marks, len(data))
    length = ends - starts
    empty_list = (length == 0) & np.append(False, keys) & np.append(between, True)
    leading_zero = (length > 1) & (data[np.minimum(starts, len(data) - 1)] == ord("0"))
    if ((length == 0) & ~empty_list).any() or (length > 15).any() or leading_zero.any():
        return None
    values = np.zeros(len(length), np.int64)
    values[length > 0] = np.fromstring(short.translate(_SPACES), np.int64, sep=" ")
    frames = values[is_frame] - first_frame
    of_frame = np.cumsum(is_frame) - 1
    ids = ~is_frame & ~empty_list
    frame, identity = frames[of_frame[ids]], values[ids]
    if frames.min() < 0 or _repeats(frames) or _repeats(frame * (identity.max(initial=0) + 1) + identity):
        return None
    return Referents(frame, identity)


def _repeats(values: np.ndarray) -> bool:
    """Whether a value occurs twice; files are nearly always in order, which is quick to see."""
    return bool((values[1:] <= values[:-1]).any()) and len(np.unique(values)) < len(values)
