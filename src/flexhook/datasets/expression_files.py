"""The field's expression files, a JSON object per sentence and video.

Its fields are ``"label": {"<frame>": [ids]}``, ``"sentence"`` and, optional, ``"ignore"``, ``"video_name"``,
``"raw_sentence"`` and ``"tags"``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.datasets import referents
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.referents import Referents
from flexhook.datasets.strict_json import decode, line_of_key, read_json
from flexhook.datasets.text_files import read_text
from flexhook.errors import InputError
from flexhook.structures import Expression
from flexhook.structures.slugs import slug

_FIELDS = {"label", "ignore", "video_name", "sentence", "raw_sentence", "tags"}
_SHAPE = '{"label": {"<frame>": [ids]}, "ignore": [], "video_name": "...", "sentence": "..."}'


@dataclass(frozen=True, eq=False)
class Annotation:
    """An expression with its referents as its file names them.

    Attributes:
        expression: The sentence, its slug and tags.
        referents: What it refers to, by 0-based frame.
        file: The file it was read from.
        first_frame: Number that the file gives to a video's first frame.
        key: Name of the object that holds the referents in the file.
    """

    expression: Expression
    referents: Referents
    file: str
    first_frame: int = 0
    key: str = "label"

    def line_of_frame(self, frame: int) -> int:
        """1-based line of the file where 0-based ``frame`` stands."""
        try:
            text = Path(self.file).read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            return 1
        return line_of_key(text, self.key, str(frame + self.first_frame))


def read_expression_file(path: str | Path, video: str, *, first_frame: int = 0, report: Report = strict) -> Annotation | None:
    """One expression file; its name without suffix is the slug.

    Args:
        path: The file.
        video: The video's name, compared with what the file says.
        first_frame: Number that the file gives to the first frame.
        report: Receives what is wrong.

    Returns:
        The expression and its referents; None where the report let a broken file pass.

    Raises:
        InputError: The file is not JSON or not of the field's form; the message has the line of the offending entry.
    """
    parsed = read_object(path, "label", first_frame, report)
    if parsed is None:
        return None
    content, found, fail = parsed
    sentence = content.get("sentence")
    if not isinstance(sentence, str) or not sentence.strip():
        problem = f"the sentence is {repr(sentence)[:60]}" if "sentence" in content else "there is no sentence"
        fail(problem, "sentence", expected='"sentence": a text that is not empty')
        return None
    tags = content.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        fail(f"the tags are {str(tags)[:60]}", "tags", expected='"tags": a list of texts')
        tags = []
    named = content.get("video_name", video)
    if named != video:
        problem = f"the file says video {str(named)[:60]!r} and lies in the folder of {video!r}"
        fail(problem, "video_name", kind="video-name-differs", expected=f'"video_name": "{video}"')
    if content.get("ignore", []) != []:
        problem = "the list of ignored objects is not empty; it is not used"
        fail(problem, "ignore", kind="ignored-regions", expected='"ignore": []')
    if not content.keys() <= _FIELDS:
        unknown = min(content.keys() - _FIELDS)
        fail(f"the field {unknown[:60]!r} is unknown and is not used", unknown, kind="unknown-field")
    stem = Path(path).name.removesuffix(".json")
    if slug(sentence) != stem:
        problem = f"the file's name is not the sentence {sentence!r} with hyphens"
        fail(problem, "sentence", kind="slug-differs", expected=f"{slug(sentence)}.json")
    return Annotation(Expression(sentence, stem, tuple(tags)), found, str(path), first_frame)


def read_object(
    path: str | Path, key: str, first_frame: int, report: Report
) -> tuple[dict[str, Any], Referents, Callable[..., None]] | None:
    """A JSON object of which ``key`` holds referents.

    Returns:
        The object (without what ``key`` held), the referents, and a function ``fail(problem, *keys, kind, expected)``
        that reports a problem of the file with the line where the nested ``keys`` stand; None where the file is broken.

    Raises:
        InputError: The file is not JSON, no object, or its referents are malformed.
    """
    text = read_text(path, report)
    if text is None:
        return None

    def fail(problem: str, *keys: str, kind: str = "bad-expression", expected: str = _SHAPE) -> None:
        line = line_of_key(text, *keys)
        hint = "Mend or restore the file"
        if "before the first frame" in problem:
            hint = "Set data.reader.expressions.first_frame to the files' first frame number, or mend the file"
        report(kind, InputError(problem, file=path, line=line, expected=expected, hint=hint))

    pieces = referents.cut(text, key)
    if pieces is not None:
        found = referents.scan(pieces[1], first_frame)
        content = None if found is None else decode(pieces[0])
        if found is not None and isinstance(content, dict) and content.get(key) == {}:
            return content, found, fail
    content = decode(text, path, report)
    if content is None:
        return None
    if not isinstance(content, dict):
        fail(f"the file holds a {type(content).__name__}, not an object")
        return None
    label = content.get(key)
    if not isinstance(label, dict):
        problem = f"the {key} is a {type(label).__name__}" if key in content else f"there is no {key}"
        fail(problem, key, expected=f'"{key}": {{"<frame>": [ids]}}')
        return None
    found = referents.parse(label, first_frame, lambda problem, frame, kind: fail(problem, key, frame, kind=kind))
    return content, found, fail


def read_extra_sentences(path: Path | None, report: Report = strict) -> dict[str, list[str]]:
    """``newsent.json``: more sentences to train on.

    Args:
        path: The file; None, or one that does not exist, has none.
        report: Receives what is wrong.

    Returns:
        ``{video: [sentences]}``.
    """
    if path is None or not path.exists():
        return {}
    parsed = read_json(path, report)
    content = {} if parsed is None else parsed[0]
    sound = isinstance(content, dict) and all(
        isinstance(v, list) and all(isinstance(s, str) and s.strip() for s in v) for v in content.values()
    )
    if not sound:
        problem = "the file is not of the expected form"
        report("bad-json", InputError(problem, file=path, line=1, expected="{video: [sentences]}", hint="Mend it"))
    return content if sound else {}


def without_referents(sentence: str, file: Path | None) -> Annotation:
    """A sentence of :func:`read_extra_sentences` that no label names: it refers to nothing, and trains as a negative."""
    nothing = Referents(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Annotation(Expression(sentence, slug(sentence)), nothing, str(file))
