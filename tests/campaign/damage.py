"""Random damage to files: to their bytes, to their text, to values of JSON and YAML, to arrays of npz files."""

import io
import json
import re
import zipfile

import numpy as np
import yaml

STRANGE = [
    "nan", "inf", "-inf", "-1", "0", "1e308", "-1e308", "99999999999999999999", "0.5", "", "x", "-", "null", "true", "{}", "[]",
    "１", "..", "../..", "/etc/passwd", "a\x00b", "${oc.env:HOME}", "'", '"', "\ud800",
]
VALUES = [
    None, True, False, 0, -1, 0.5, 1e308, float("nan"), float("inf"), 10**30, "", "x", "\ud800", "../x", "${a}", [], {}, [[]],
    {"_target_": "os.system", "command": "exit 1"}, [None] * 3, "9" * 5000,
]


def damaged(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """The content of a file with random damage.

    Args:
        content: The whole file.
        kind: ``"text"``, ``"json"``, ``"yaml"``, ``"npz"`` or ``"binary"``: what damage it may have beside that of its bytes.
        rng: Draws it.
    """
    ways = {"text": [tokens, lines], "json": [values, values, tokens], "yaml": [values, values, tokens, lines],
            "npz": [arrays, arrays, arrays], "binary": []}[kind]  # fmt: skip
    way = [*ways, raw][int(rng.integers(len(ways) + 1))]
    try:
        return way(content, kind, rng)
    except (ValueError, UnicodeDecodeError, yaml.YAMLError):  # damage does not apply to this content
        return raw(content, kind, rng)


def raw(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Flipped bits, a cut end, slices lost, doubled, zeroed or made of noise."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(data) + 1))
        length = int(min(rng.integers(1, 2 ** int(rng.integers(1, 12))), len(data) - at))
        what = int(rng.integers(6))
        if what == 0 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif what == 1:
            del data[at:]
        elif what == 2:
            del data[at : at + length]
        elif what == 3:
            data[at:at] = data[at : at + length]
        elif what == 4:
            data[at : at + length] = bytes(length)
        else:
            data[at : at + length] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
    return bytes(data)


def tokens(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """One number or word that is something strange."""
    text = content.decode()
    found = list(re.finditer(r"[-+\w.]+", text))
    if not found:
        raise ValueError
    one = found[int(rng.integers(len(found)))]
    return (text[: one.start()] + STRANGE[int(rng.integers(len(STRANGE)))] + text[one.end() :]).encode("utf-8", "surrogatepass")


def lines(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A line lost, doubled, exchanged with another, or with other separators."""
    rows = content.splitlines(keepends=True)
    if not rows:
        raise ValueError
    at, other, what = int(rng.integers(len(rows))), int(rng.integers(len(rows))), int(rng.integers(4))
    if what == 0:
        del rows[at]
    elif what == 1:
        rows.insert(other, rows[at])
    elif what == 2:
        rows[at], rows[other] = rows[other], rows[at]
    else:
        rows[at] = rows[at].replace(b",", [b";", b"\t", b",,", b" , "][int(rng.integers(4))])
    return b"".join(rows)


def values(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """One value of a JSON or YAML document that is another, lost, or under another key."""
    tree = json.loads(content) if kind == "json" else yaml.safe_load(content)
    places = list(_places(tree))
    if not places:
        raise ValueError
    holder, key = places[int(rng.integers(len(places)))]
    what = int(rng.integers(5))
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[str(rng.choice(["_target_", "", "x", "-1", "999999", str(key) + " "]))] = holder.pop(key)
    else:
        holder[key] = VALUES[int(rng.integers(len(VALUES)))]
    text = json.dumps(tree) if kind == "json" else yaml.safe_dump(tree, allow_unicode=True)
    return text.encode("utf-8", "surrogatepass")


def _places(node):
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield node, key
        yield from _places(value)


def arrays(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """One array of an npz file that has other values, another type or shape, is lost, or would run code."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = sorted(members)[int(rng.integers(len(members)))]
    try:
        array = np.load(io.BytesIO(members[name]))
    except (ValueError, EOFError):
        array = np.zeros(0)
    what = int(rng.integers(7))
    if what == 0:
        del members[name]
    else:
        members[name] = _npy(_changed(array, what, rng), pickled=what == 6)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return out.getvalue()


def _changed(array: np.ndarray, what: int, rng: np.random.Generator) -> np.ndarray:
    if what == 1 and array.size:
        flat = array.reshape(-1).copy()
        worst = [np.nan, np.inf, -np.inf, -1, 2**31, 1e30]
        with np.errstate(all="ignore"):
            if flat.dtype.kind in "fiub":
                flat[int(rng.integers(flat.size))] = np.array(worst[int(rng.integers(6))]).astype(flat.dtype)
        return flat.reshape(array.shape)
    if what == 2:
        return array.reshape(-1)[: array.size // 2]
    if what == 3:
        return array[None]
    if what == 4:
        kinds = ["float16", "int8", "U5", "complex64"]
        return array.astype(kinds[int(rng.integers(4))]) if array.dtype.kind in "fiub" else array.reshape(-1)[:0]
    if what == 5:
        return np.zeros(0)
    return np.array([Harm()], dtype=object)


class Harm:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self):
        return print, ("this must never be printed: a file ran code",)


def _npy(array: np.ndarray, pickled: bool) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=pickled)
    return out.getvalue()
