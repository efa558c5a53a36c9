"""The field's expression files, a JSON object per sentence and video.

Its fields are ``"label": {"<frame>": [ids]}``, ``"sentence"`` and, optional, ``"ignore"``, ``"video_name"``,
``"raw_sentence"`` and ``"tags"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flexhook.datasets.expressions import slug
from flexhook.datasets.problems import Report, strict
from flexhook.datasets.strict_json import line_of_key, read_json
from flexhook.errors import InputError
from flexhook.structures import Expression

_FIELDS = {"label", "ignore", "video_name", "sentence", "raw_sentence", "tags"}
_SHAPE = '{"label": {"<frame>": [ids]}, "ignore": [], "video_name": "...", "sentence": "..."}'


@dataclass(frozen=True)
class Annotation:
    """An expression with its referents as its file names them.

    Attributes:
        expression: The sentence, its slug and tags.
        referents: Identities by 0-based frame.
        file: The file it was read from.
        text: The file's text, for the line of an entry in messages; empty where it is not kept.
        first_frame: Number that the file gives to a video's first frame.
    """

    expression: Expression
    referents: dict[int, list[int]]
    file: str
    first_frame: int = 0

    def line_of_frame(self, frame: int, key: str = "label") -> int:
        """1-based line of the file where 0-based ``frame`` stands."""
        try:
            text = Path(self.file).read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            return 1
        return line_of_key(text, key, str(frame + self.first_frame))


def read_expression_folder(
    folder: Path, video: str, *, first_frame: int = 0, report: Report = strict
) -> list[Annotation]:
    """The expression files of one video, sorted by name; the name without suffix is the slug.

    Args:
        folder: Folder that holds the video's ``*.json``.
        video: The video's name, compared with what the files say.
        first_frame: Number that the files give to the first frame.
        report: Receives what is wrong.

    Raises:
        InputError: The folder is missing or holds no expression, or a file is malformed.
    """
    try:
        names = sorted(e.name for e in folder.iterdir() if not e.name.startswith("."))
    except OSError:
        report(
            "missing-folder",
            InputError(
                "the folder of expressions does not exist or cannot be listed",
                file=folder,
                expected="one JSON file per expression",
                hint="Check data.root and data.reader.expressions",
            ),
        )
        return []
    annotations = []
    for name in names:
        if not name.endswith(".json"):
            report(
                "stray-file",
                InputError("the file is not an expression", file=folder / name, expected="files named <slug>.json"),
            )
            continue
        annotation = read_expression_file(f"{folder}/{name}", video, first_frame=first_frame, report=report)
        if annotation is not None:
            annotations.append(annotation)
    if not names:
        report(
            "missing-file",
            InputError("the folder holds no expression", file=folder, expected="one JSON file per expression"),
        )
    return annotations


def read_expression_file(
    path: str | Path, video: str, *, first_frame: int = 0, report: Report = strict
) -> Annotation | None:
    """One expression file.

    Returns:
        The expression and its referents; None where the report let a broken file pass.

    Raises:
        InputError: The file is not JSON or not of the field's form; the message has the line of the offending entry.
    """
    parsed = read_json(path, report)
    if parsed is None:
        return None
    content, text = parsed

    def fail(problem: str, *keys: str, kind: str = "bad-expression", expected: str = _SHAPE) -> None:
        report(
            kind,
            InputError(
                problem, file=path, line=line_of_key(text, *keys), expected=expected, hint="Mend or restore the file"
            ),
        )

    if not isinstance(content, dict):
        fail(f"the file holds a {type(content).__name__}, not an object")
        return None
    sentence, label = content.get("sentence"), content.get("label")
    if not isinstance(sentence, str) or not sentence.strip():
        fail(
            f"the sentence is {sentence!r}" if "sentence" in content else "there is no sentence",
            "sentence",
            expected='"sentence": a text that is not empty',
        )
        return None
    if not isinstance(label, dict):
        fail(
            f"the label is a {type(label).__name__}" if "label" in content else "there is no label",
            "label",
            expected='"label": {"<frame>": [ids]}',
        )
        return None
    tags = content.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        fail(f"the tags are {tags!r}", "tags", expected='"tags": a list of texts')
        tags = []
    if content.get("video_name", video) != video:
        fail(
            f"the file says video {content['video_name']!r} and lies in the folder of {video!r}",
            "video_name",
            kind="video-name-differs",
            expected=f'"video_name": "{video}"',
        )
    if content.get("ignore", []) != []:
        fail(
            "the list of ignored objects is not empty; it is not used",
            "ignore",
            kind="ignored-regions",
            expected='"ignore": []',
        )
    if not content.keys() <= _FIELDS:
        unknown = min(content.keys() - _FIELDS)
        fail(f"the field {unknown!r} is unknown and is not used", unknown, kind="unknown-field")
    stem = Path(path).name.removesuffix(".json")
    if slug(sentence) != stem:
        fail(
            f"the file's name is not the sentence {sentence!r} with hyphens",
            "sentence",
            kind="slug-differs",
            expected=slug(sentence),
        )
    referents = parse_referents(
        label, first_frame, lambda problem, frame, kind: fail(problem, "label", frame, kind=kind)
    )
    return Annotation(Expression(sentence, stem, tuple(tags)), referents, str(path), first_frame)


def parse_referents(label: dict, first_frame: int, fail) -> dict[int, list[int]]:
    """``{"<frame>": [ids]}`` to identities by 0-based frame.

    Args:
        label: The parsed object.
        first_frame: Number of the first frame.
        fail: Called with (problem, frame key, kind) for each entry that is wrong; the entry is left out if it returns.
    """
    referents: dict[int, list[int]] = {}
    for key, ids in label.items():
        if not (key.isascii() and key.isdigit()):
            fail(f"the frame {key!r} is not a whole number", key, "bad-frame")
            continue
        frame = int(key) - first_frame
        if frame < 0:
            fail(f"frame {key} is before the first frame {first_frame}", key, "bad-frame")
        elif frame in referents:
            fail(f"frame {int(key)} occurs twice", key, "bad-frame")
        elif type(ids) is not list or not all(type(i) is int and 0 <= i < 2**53 for i in ids):
            fail(f"the identities of frame {key} are {str(ids)[:60]}", key, "bad-identity")
        else:
            if len(set(ids)) < len(ids):
                fail(f"frame {key} names an identity twice", key, "repeated-referent")
            referents[frame] = ids
    return referents
