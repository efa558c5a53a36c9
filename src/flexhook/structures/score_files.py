"""Score files: one ``<video>.npz`` per video and one ``expressions.json`` in a folder, whole or not there.

An ``.npz`` holds the columns of the judged observations (``frame``, ``identity``, ``box``, ``category``,
``confidence``, ``categories``), the ``slugs`` of the expressions, ``logits``, ``model``, which names what made the scores,
and ``job``, a digest of all that was scored.
Frames are 0-based, boxes (x1, y1, x2, y2) in pixels of the original frame. Members are stored uncompressed and
without dates: equal scores, equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from flexhook.errors import InputError
from flexhook.structures import Expression, TrackSet
from flexhook.structures.whole_files import whole_file

AGAIN = "Score the video again with `flexhook score`"
COLUMNS = ("frame", "identity", "box", "category", "confidence")
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
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class VideoScores:
    """What a model says about every (observation, expression) of one video.

    Attributes:
        video: Name of the video within its dataset.
        tracks: The judged observations, n rows.
        expressions: The sentences, E of them, in the order of the logits' second axis.
        logits: (n, E, 2) float32, (no, yes).

    Raises:
        ValueError: The logits' shape is not (n, E, 2).
    """

    video: str
    tracks: TrackSet
    expressions: tuple[Expression, ...]
    logits: np.ndarray

    def __post_init__(self) -> None:
        wanted = (len(self.tracks), len(self.expressions), 2)
        if self.logits.shape != wanted:
            raise ValueError(f"logits of shape {wanted} expected, {self.logits.shape} found")

    @property
    def accepted(self) -> np.ndarray:
        """(n, E) bool: True where the expression is held to refer to the observation, logit(yes) > logit(no)."""
        return self.logits[..., 1] > self.logits[..., 0]

    @property
    def probability(self) -> np.ndarray:
        """(n, E) float32 in [0, 1]: softmax of the two logits at "yes"."""
        return 1 / (1 + np.exp(np.clip(self.logits[..., 0] - self.logits[..., 1], -80, 80)))


def score_file(folder: str | Path, video: str) -> Path:
    """Where the scores of ``video`` lie in ``folder``."""
    return Path(folder) / f"{video}.npz"


def scored_videos(folder: str | Path) -> list[str]:
    """Names of the videos whose scores are complete in ``folder``, sorted; empty where there is no such folder.

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
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_expressions(folder: str | Path) -> dict[str, tuple[Expression, ...]]:
    """Read ``expressions.json``.

    Raises:
        InputError: The file is missing or is not what :func:`write_expressions` writes.
    """
    path = Path(folder) / "expressions.json"
    shape = 'an object {video: [{"sentence": ..., "slug": ..., "tags": [...]}, ...]}'
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("the file does not exist", file=path, expected=shape, hint=AGAIN) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"the file is not JSON ({error.msg})", file=path, line=error.lineno, expected=shape, hint=AGAIN
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file does not read ({error})", file=path, expected=shape, hint=AGAIN) from None
    try:
        return {
            str(video): tuple(
                Expression(_text(e["sentence"]), _text(e["slug"]), tuple(map(_text, e.get("tags", ()))))
                for e in entries
            )
            for video, entries in content.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"an entry is malformed ({error!r})", file=path, expected=shape, hint=AGAIN) from None


def write_scores(folder: str | Path, scores: VideoScores, *, key: str = "", model: str = "") -> Path:
    """Write the ``.npz`` of one video whose logits are in memory.

    :class:`flexhook.inference.score_writer.ScoreWriter` is for logits that come in pieces.

    Args:
        folder: The folder of scores; made where it is missing.
        scores: What to write.
        key: Names what was scored, see :class:`flexhook.inference.score_writer.ScoreWriter`.
        model: Names what made the scores.

    Raises:
        InputError: A logit is not finite, or the folder cannot be written to.
    """
    logits = check_finite(np.asarray(scores.logits, "<f4"), scores.video)

    def write(stream: IO[bytes]) -> None:
        np.lib.format.write_array(stream, np.ascontiguousarray(logits))

    return assemble(folder, scores.video, scores.tracks, scores.expressions, key, model, write)


def read_scores(folder: str | Path, video: str) -> VideoScores:
    """Read the scores of one video and check that tracks, expressions and logits belong together.

    Raises:
        InputError: A file is missing, truncated or corrupted, or the parts do not fit.
    """
    path = score_file(folder, video)
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
    expressions = named[video]
    parts = _read_npz(path)
    n = len(parts["frame"])
    shapes = {
        "frame": (n,),
        "identity": (n,),
        "box": (n, 4),
        "category": (n,),
        "confidence": (n,),
        "slugs": (len(expressions),),
        "logits": (n, len(expressions), 2),
    }
    for name, shape in shapes.items():
        if parts[name].shape != shape:
            raise InputError(
                f"{name} has the shape {parts[name].shape}",
                file=path,
                hint=AGAIN,
                expected=f"{shape}: {n} observations, {len(expressions)} expressions in expressions.json",
            )
    if tuple(parts["slugs"].tolist()) != tuple(e.slug for e in expressions):
        raise InputError("the expressions are not those of expressions.json, in its order", file=path, hint=AGAIN)
    order = np.lexsort((parts["identity"], parts["frame"]))
    try:
        tracks = TrackSet.build(**{name: parts[name] for name in COLUMNS}, categories=parts["categories"].tolist())
    except ValueError as error:
        raise InputError(str(error), file=path, hint=AGAIN) from None
    if (order != np.arange(n)).any():
        raise InputError("the observations are not sorted by frame and identity", file=path, hint=AGAIN)
    logits = check_finite(parts["logits"].astype(np.float32, copy=False), video, path)
    return VideoScores(video, tracks, expressions, logits)


def assemble(
    folder: str | Path,
    video: str,
    tracks: TrackSet,
    expressions: Sequence[Expression],
    key: str,
    model: str,
    write_logits: Callable[[IO[bytes]], None],
) -> Path:
    """Write a video's ``.npz``; ``write_logits`` writes the logits' ``.npy``, header and all, to a stream."""
    path = score_file(folder, video)
    small = {name: getattr(tracks, name) for name in COLUMNS} | {
        "categories": np.array(tracks.categories, "U"),
        "slugs": np.array([e.slug for e in expressions], "U"),
        "model": np.array(model, "U"),
        "job": np.array(job_digest(tracks, expressions, key, model)),
    }
    with whole_file(path) as temporary, open(temporary, "wb") as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, array in small.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
            with archive.open(zipfile.ZipInfo("logits.npy"), "w", force_zip64=True) as stream:
                write_logits(stream)
        out.flush()
        os.fsync(out.fileno())
    return path


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    names = (*COLUMNS, "categories", "slugs", "logits")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _member(archive, name) for name in names}
    except DAMAGED as error:
        raise InputError(
            f"the scores are truncated or corrupted ({error})",
            file=path,
            hint=AGAIN,
            expected=f"an .npz of {', '.join(names)}",
        ) from None


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def finished_job(path: Path) -> str | None:
    """The digest in a finished file; None where there is none, or its checksums do not hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(_member(archive, "job")) if archive.testzip() is None else None
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
    digest = hashlib.sha256(json.dumps([key, model, [(e.sentence, e.slug) for e in expressions], tracks.categories]).encode())
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(getattr(tracks, name)).tobytes())
    return digest.hexdigest()


def check_finite(logits: np.ndarray, video: str, path: Path | None = None) -> np.ndarray:
    """The logits themselves.

    Raises:
        InputError: One of them is not a finite number.
    """
    if not np.isfinite(logits).all():
        count = int((~np.isfinite(logits)).any(-1).sum())
        raise InputError(
            f"{count} scores of video {video} are not finite numbers",
            file=path,
            hint="Check that the training's loss did not diverge, and score with precision float32",
        )
    return logits


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
