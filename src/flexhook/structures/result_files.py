"""Files of results: one ``<video>.npz`` per video and one ``expressions.json`` in a folder, whole or not there.

Each ``.npz`` names its ``format``. ``pairs`` is the compact form of methods that score given tracks: the columns of the
observations (``frame``, ``identity``, ``box``, ``category``, ``confidence``) once, and ``logits`` (n, E, 2) of all pairs.
``rows`` holds tracks per expression: ``expression``, ``frame``, ``identity``, ``box``, ``category``, ``score`` and
``accepted``, sorted by expression, frame and identity. Both hold ``categories``, the expressions (``slugs``, ``sentences``,
``tags``), ``model``, which names what made the results, and ``job``, a digest of all that was asked for.
Frames are 0-based, boxes (x1, y1, x2, y2) in pixels of the original frame. Members are stored uncompressed and
without dates: equal results, equal bytes. Large members are mapped when they are read, after their checksums were verified.
"""

from __future__ import annotations

import json
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from flexhook.errors import InputError
from flexhook.structures.digests import digest
from flexhook.structures.files import atomic_write, read_json, write_json
from flexhook.structures.result_check import CHUNK, check_finite, check_forms, check_observations
from flexhook.structures.results import ExpressionResult, PairResults, Results, RowResults
from flexhook.structures.slugs import is_file_name, stays_inside
from flexhook.structures.tracks import TrackSet
from flexhook.structures.video import Expression

AGAIN = "Score the video again with `flexhook score`"
COLUMNS = ("frame", "identity", "box", "category", "confidence")
ROW_COLUMNS = {
    "expression": "<i4", "frame": "<i8", "identity": "<i8", "box": "<f8", "category": "<i2", "score": "<f4", "accepted": "?",
}
#: What a damaged .npz makes zipfile and numpy say.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SystemError,
    tokenize.TokenError,  # of a damaged header
    zipfile.BadZipFile,
    zlib.error,
)


def result_file(folder: str | Path, video: str) -> Path:
    """The file of the results of ``video`` in ``folder``.

    Raises:
        InputError: The name leads out of the folder.
    """
    if not stays_inside(video):
        raise InputError(f"the video's name {video!r} leads out of the folder", file=folder, expected="a name of a file")
    return Path(folder) / f"{video}.npz"


def scored_videos(folder: str | Path) -> list[str]:
    """Names of the videos whose results are complete in ``folder``, sorted; empty where there is no such folder.

    ``sequences.npz``, which an evaluation may leave there, is none of them.
    """
    folder = Path(folder)
    files = (file.relative_to(folder) for file in folder.rglob("*.npz") if file.name != "sequences.npz")
    return sorted(file.as_posix()[:-4] for file in files if not any(part.startswith(".") for part in file.parts))


def write_expressions(folder: str | Path, expressions: Mapping[str, Sequence[Expression]]) -> Path:
    """Write ``expressions.json``: ``{video: [{"sentence", "slug", "tags"}, ...]}``, in the order of the logits."""
    path = Path(folder) / "expressions.json"
    content = {
        video: [{"sentence": e.sentence, "slug": e.slug, "tags": list(e.tags)} for e in entries]
        for video, entries in expressions.items()
    }
    write_json(path, content)
    return path


def read_expressions(folder: str | Path) -> dict[str, tuple[Expression, ...]]:
    """Read ``expressions.json``.

    Raises:
        InputError: The file is missing or is not what :func:`write_expressions` writes.
    """
    path = Path(folder) / "expressions.json"
    shape = 'an object {video: [{"sentence": ..., "slug": ..., "tags": [...]}, ...]}'
    content = read_json(path, expected=shape, hint=AGAIN)
    try:
        named = {
            str(video): tuple(
                Expression(_text(e["sentence"]), _text(e["slug"]), tuple(map(_text, e.get("tags", ()))))
                for e in entries
            )
            for video, entries in content.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"an entry is malformed ({error!r})", file=path, expected=shape, hint=AGAIN) from None
    slugs = (e.slug for entries in named.values() for e in entries)
    outside = [*(v for v in named if not stays_inside(v)), *(s for s in slugs if not is_file_name(s))]
    if outside:
        raise InputError(f"the name {outside[0]!r} leads out of the folder", file=path, expected="names of files", hint=AGAIN)
    return named


def write_pairs(folder: str | Path, results: PairResults, *, key: str = "", model: str = "") -> Path:
    """Write the ``.npz`` of one video whose logits are in memory, in the format ``pairs``.

    :class:`flexhook.inference.pair_writer.PairWriter` is for logits that come in pieces.

    Args:
        folder: The folder of results; made where it is missing.
        results: What to write.
        key: Names what was scored, see :class:`flexhook.inference.pair_writer.PairWriter`.
        model: Names what made the results.

    Raises:
        InputError: A logit is not finite, a box has no area, or the folder cannot be written to.
    """
    logits = check_finite(np.asarray(results.logits, "<f4"), results.video)
    check_observations({"frame": results.tracks.frame, "box": results.tracks.box}, results.video)

    def write(stream: IO[bytes]) -> None:
        np.lib.format.write_array(stream, np.ascontiguousarray(logits))

    return assemble_pairs(folder, results.video, results.tracks, results.expressions, key, model, write)


def write_rows(
    folder: str | Path,
    video: str,
    expressions: Sequence[Expression],
    results: Callable[[], Iterable[ExpressionResult]],
    *,
    categories: Sequence[str] | None = None,
    keeps_rejected: bool = True,
    job: str = "",
    model: str = "",
) -> Path:
    """Write the ``.npz`` of one video in the format ``rows``, an expression at a time.

    Args:
        folder: The folder of results; made where it is missing.
        video: Name of the video.
        expressions: The expressions.
        results: Gives the results of all expressions, in their order, each time it is called: once per column.
        categories: Names of the tracks' categories; None takes them from the results.
        keeps_rejected: Whether candidates that were not accepted are among the tracks.
        job: Digest of all that was asked for.
        model: Names what made the results.

    Raises:
        InputError: A score or a box is not finite, a box has no area, expressions differ in their categories, or the folder
            cannot be written to.
    """
    path, counts = result_file(folder, video), []
    shared = None if categories is None else tuple(categories)
    for item in results():
        counts.append(len(item.tracks))
        shared = shared_categories(shared, item.tracks, video)
        of = f"{video}, '{item.expression.sentence}'"
        check_finite(item.score, of)
        check_finite(item.tracks.box, of, what="boxes")
        check_observations({"frame": item.tracks.frame, "box": item.tracks.box, "score": item.score}, of)
    if len(counts) != len(expressions):
        raise ValueError(f"results of {len(expressions)} expressions expected, of {len(counts)} found")
    small = _labels_of(expressions, shared or (), model, job) | {
        "format": np.array("rows"), "keeps_rejected": np.array(keeps_rejected)}

    def column(name: str) -> Callable[[IO[bytes]], None]:
        dtype, tail = ROW_COLUMNS[name], (4,) if name == "box" else ()

        def write(stream: IO[bytes]) -> None:
            shape = (sum(counts), *tail)
            np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
            for k, item in enumerate(results()):
                if name == "expression":
                    values = np.full(len(item.tracks), k)
                else:
                    values = getattr(item if name in ("score", "accepted") else item.tracks, name)
                stream.write(np.ascontiguousarray(values, dtype).tobytes())

        return write

    _write_npz(path, small, {name: column(name) for name in ROW_COLUMNS})
    return path


def shared_categories(known: tuple[str, ...] | None, tracks: TrackSet, video: str) -> tuple[str, ...] | None:
    """The categories that all expressions of a video share, given those of some and the tracks of one more.

    Tracks without observations and without categories say nothing.

    Args:
        known: The categories so far; None where nothing is known.
        tracks: The tracks of one more expression.
        video: Name of the video, for the message.

    Raises:
        InputError: They differ; the rows of a file name one list of categories.
    """
    if not len(tracks) and not tracks.categories:
        return known
    if known is not None and tracks.categories != known:
        raise InputError(f"expressions of video {video} differ in their categories: {known} and {tracks.categories}",
                         expected="the same names in the same order for all expressions of a video",
                         hint="Give all tracks the categories that the method knows, and score into an empty folder")
    return tracks.categories


def read_results(folder: str | Path, video: str) -> Results:
    """Open the results of one video and check that their parts belong together.

    Checksums and numbers are verified in one pass over the file; what is large stays on disk until an expression is asked for.

    Raises:
        InputError: A file is missing, truncated or corrupted, or the parts do not fit.
    """
    path = result_file(folder, video)
    if not path.is_file():
        there = scored_videos(folder)
        raise InputError(
            f"video {video} has no scores",
            file=path,
            hint=AGAIN,
            expected=f"one of the scored videos: {', '.join(there)}" if there else "a folder of scores",
        )
    named = read_expressions(folder)
    if video not in named:
        raise InputError(
            f"video {video} is missing",
            file=path.parent / "expressions.json",
            hint=AGAIN,
            expected="an entry for every scored video",
        )
    return open_results(path, video, named[video])


def open_results(path: Path, video: str, expressions: tuple[Expression, ...] | None = None) -> Results:
    """Open one file of results.

    Args:
        path: The file.
        video: Name of the video.
        expressions: What ``expressions.json`` says of the video; None takes the file's own expressions.

    Raises:
        InputError: As :func:`read_results`.
    """
    kind, parts = _read_npz(path)
    if expressions is None:
        named = [parts[name].tolist() for name in ("sentences", "slugs", "tags")]
        try:
            expressions = tuple(Expression(s, slug, tuple(json.loads(tags))) for s, slug, tags in zip(*named, strict=True))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"the expressions are malformed ({error})", file=path, hint=AGAIN) from None
    n = len(parts["frame"])
    shapes: dict[str, tuple[int, ...]] = {"frame": (n,), "identity": (n,), "box": (n, 4), "category": (n,)}
    shapes |= {"confidence": (n,)} if kind == "pairs" else {"expression": (n,), "score": (n,), "accepted": (n,)}
    shapes["slugs"] = (len(expressions),)
    if kind == "pairs":
        shapes["logits"] = (n, len(expressions), 2)
    for name, shape in shapes.items():
        if parts[name].shape != shape:
            raise InputError(
                f"{name} has the shape {parts[name].shape}",
                file=path,
                hint=AGAIN,
                expected=f"{shape}: {n} observations, {len(expressions)} expressions in expressions.json",
            )
    check_observations(parts, video, path, AGAIN)
    if tuple(parts["slugs"].tolist()) != tuple(e.slug for e in expressions):
        raise InputError("the expressions are not those of expressions.json, in its order", file=path, hint=AGAIN)
    categories = parts["categories"].tolist()
    if kind == "pairs":
        order = np.lexsort((parts["identity"], parts["frame"]))
        try:
            tracks = TrackSet.build(**{name: parts[name] for name in COLUMNS}, categories=categories)
        except ValueError as error:
            raise InputError(str(error), file=path, hint=AGAIN) from None
        if (order != np.arange(n)).any():
            raise InputError("the observations are not sorted by frame and identity", file=path, hint=AGAIN)
        return PairResults(video, tracks, expressions, parts["logits"].astype(np.float32, copy=False), path)
    order = np.lexsort((parts["identity"], parts["frame"], parts["expression"]))
    if (order != np.arange(n)).any() or (n and not 0 <= parts["expression"][0] <= parts["expression"][-1] < len(expressions)):
        raise InputError("the rows are not sorted by expression, frame and identity", file=path, hint=AGAIN)
    columns = {name: parts[name] for name in ROW_COLUMNS if name != "expression"}
    return RowResults(video, expressions, parts["expression"], columns, categories, bool(parts["keeps_rejected"]), path)


def assemble_pairs(
    folder: str | Path,
    video: str,
    tracks: TrackSet,
    expressions: Sequence[Expression],
    key: str,
    model: str,
    write_logits: Callable[[IO[bytes]], None],
    hint: str | None = None,
) -> Path:
    """Write a video's ``.npz``; ``write_logits`` writes the logits' ``.npy`` with its header to a stream."""
    path = result_file(folder, video)
    job = job_digest(tracks, expressions, key, model)
    small = {name: getattr(tracks, name) for name in COLUMNS} | _labels_of(expressions, tracks.categories, model, job)
    _write_npz(path, {"format": np.array("pairs"), **small}, {"logits": write_logits}, hint)
    return path


def _labels_of(expressions: Sequence[Expression], categories: Sequence[str], model: str, job: str) -> dict[str, np.ndarray]:
    """What both formats hold beside their columns."""
    return {
        "categories": np.array(categories, "U"),
        "slugs": np.array([e.slug for e in expressions], "U"),
        "sentences": np.array([e.sentence for e in expressions], "U"),
        "tags": np.array([json.dumps(e.tags) for e in expressions], "U"),
        "model": np.array(model, "U"),
        "job": np.array(job, "U"),
    }


def _write_npz(
    path: Path, small: Mapping[str, np.ndarray], large: Mapping[str, Callable[[IO[bytes]], None]], hint: str | None = None
) -> None:
    """Write arrays, and members that are written piece by piece, to a file that is whole or not there."""
    with atomic_write(path, hint=hint) as temporary, open(temporary, "wb") as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, array in small.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
            for name, write in large.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                    write(stream)


def _read_npz(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """The format of a file and its members."""
    try:
        with zipfile.ZipFile(path) as archive:
            kind = str(_member(archive, "format"))
            if kind not in ("pairs", "rows"):
                raise InputError(f"the format is {kind!r}", file=path, expected="pairs or rows", hint=AGAIN)
            own = {"pairs": [*COLUMNS, "logits"], "rows": [*ROW_COLUMNS, "keeps_rejected"]}[kind]
            large = {"pairs": {"logits"}, "rows": set(ROW_COLUMNS)}[kind]
            names = [*own, "categories", "slugs", "sentences", "tags"]
            parts = {name: (_mapped if name in large else _member)(archive, name) for name in names}
    except DAMAGED as error:
        raise InputError(
            f"the scores are truncated or corrupted ({error})",
            file=path,
            hint=AGAIN,
            expected="an .npz that `flexhook score` wrote",
        ) from None
    check_forms(parts, path, AGAIN)
    for name in ("logits", "score", "confidence"):
        if name in parts:
            check_finite(parts[name], path.stem, path, "confidences" if name == "confidence" else "scores")
    return kind, parts


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _mapped(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """A member that stays on disk, after one pass that verifies its checksum; one that is compressed is read."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        return _member(archive, name)
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read_header(stream)
        begin = stream.tell()
        while stream.read(CHUNK):
            pass
    if dtype.hasobject or fortran or begin + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"{name} is not what its header says")
    if not math.prod(shape):
        return np.zeros(shape, dtype)
    with open(str(archive.filename), "rb") as file:
        file.seek(info.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", file.read(4))
    offset = info.header_offset + 30 + name_length + extra_length + begin
    return np.memmap(str(archive.filename), dtype, "r", offset, shape)


def finished_job(path: Path) -> str | None:
    """The digest in a finished file; None where there is none, or its checksums do not hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(_member(archive, "job")) if archive.testzip() is None else None
    except DAMAGED:
        return None


def job_of(path: Path) -> str | None:
    """The digest that a file names, whose checksums are not verified; None for a file that does not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(_member(archive, "job"))
    except DAMAGED:
        return None


def model_of(path: Path) -> str | None:
    """The model that a file names; None for a file that is not there or does not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(_member(archive, "model")) if "model.npy" in archive.namelist() else ""
    except DAMAGED:
        return None


def job_digest(tracks: TrackSet, expressions: Sequence[Expression], key: str, model: str) -> str:
    """What was scored, in 64 characters: the columns of the tracks, the expressions, the key and the model."""
    names = json.dumps([key, model, [(e.sentence, e.slug) for e in expressions], tracks.categories])
    return digest(names, *(getattr(tracks, name) for name in COLUMNS), length=64)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
