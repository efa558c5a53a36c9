"""The expressions of one video from several sources: expression files, labels that name sentences, extra sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flexhook.datasets.expression_files import Annotation, without_referents
from flexhook.datasets.parts import VideoPlace
from flexhook.datasets.problems import Report
from flexhook.datasets.referents import Referents
from flexhook.errors import InputError
from flexhook.structures.slugs import slug, unique_slugs


def merge_annotations(
    video: VideoPlace,
    files: list[Annotation] | None,
    labelled: list[Annotation],
    extra: Sequence[str],
    extra_file: Path | None,
    report: Report,
) -> list[Annotation]:
    """One list of expressions, sorted by slug where it is not that of the files alone.

    The referents of a sentence are those of the labels, or the expression file's where the labels do not know the
    sentence. A file belongs to the sentence that it states; one whose sentence no label names, to the first sentence of the
    labels with its slug that no file states ("light-colored cars", "light colored cars").

    Args:
        video: The video.
        files: What its expression files say; None where the dataset has none. In the test split only these sentences
            count: the published test sets are lists of these files.
        labelled: The sentences that its labels name, with their referents; their slugs need not differ.
        extra: Further sentences without referents. One with the slug of another expression adds nothing.
        extra_file: Where these come from.
        report: Receives sentences of the labels without a file in the test split, and files whose referents differ.
    """
    out, without_file = _with_labels(video, files or [], labelled, report)
    if video.test and files is not None:
        for annotation in without_file:
            sentence = annotation.expression.sentence
            problem = f"the sentence {sentence!r} of video {video.name} has no expression file and is no test sequence"
            error = InputError(problem, file=annotation.file, expected=f"{annotation.expression.slug}.json")
            report("no-expression-file", error)
        without_file = []
    known = {a.expression.slug for a in (*out, *without_file)}
    more: dict[str, Annotation] = {}
    for sentence in extra:
        if slug(sentence) not in known:
            more.setdefault(slug(sentence), without_referents(sentence, extra_file))
    added = [*without_file, *more.values()]
    if not added and not labelled:
        return out
    slugs = unique_slugs((a.expression.sentence for a in added), (a.expression.slug for a in out))
    added = [replace(a, expression=replace(a.expression, slug=name)) for a, name in zip(added, slugs, strict=True)]
    return sorted(out + added, key=lambda annotation: annotation.expression.slug)


def _with_labels(
    video: VideoPlace, files: list[Annotation], labelled: list[Annotation], report: Report
) -> tuple[list[Annotation], list[Annotation]]:
    """The files with the referents of the labels, and the sentences of the labels that have no file."""
    of_sentence = {words(a.expression.sentence): a for a in labelled}
    stated = {words(a.expression.sentence) for a in files}
    without_file = {sentence: a for sentence, a in of_sentence.items() if sentence not in stated}
    out = []
    for file in files:
        found = of_sentence.get(words(file.expression.sentence))
        if found is None:
            same = (s for s, a in without_file.items() if a.expression.slug == file.expression.slug)
            sentence = next(same, None)
            found = None if sentence is None else without_file.pop(sentence)
        if found is not None and _pairs(found.referents) != _pairs(file.referents):
            sentence, source = found.expression.sentence, Path(found.file).name
            problem = f"the referents of {sentence!r} are not those that {source} gives in video {video.name}"
            hint = "Check data.reader.expressions.first_frame and data.reader.truth.first_frame"
            error = InputError(problem, file=file.file, expected="the same frames and identities", hint=hint)
            report("referents-differ", error)
        out.append(file if found is None else replace(file, referents=found.referents))
    return out, list(without_file.values())


def words(sentence: str) -> str:
    """A sentence with single blanks: white space tells no two sentences apart."""
    return " ".join(sentence.split())


def _pairs(referents: Referents) -> set[tuple[int, int]]:
    return set(zip(referents.frame.tolist(), referents.identity.tolist(), strict=True))
