"""Looks at the sentences of a video: empty, repeated, too long."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from flexhook.datasets.expression_files import Annotation
from flexhook.datasets.problems import Report
from flexhook.errors import InputError


def least_tokens(sentence: str) -> int:
    """A number of tokens that no tokenizer stays below: words, marks, and a token at either end."""
    return len(re.findall(r"\w+|[^\w\s]", sentence)) + 2


def check_sentences(
    annotations: Sequence[Annotation],
    labels_per_expression: Sequence[int] | np.ndarray,
    limit: int,
    count_tokens: Callable[[str], int],
    report: Report,
) -> None:
    """Report expressions that refer to nothing, occur twice in their video, or are longer than the text encoder's input.

    Args:
        annotations: The expressions of one video.
        labels_per_expression: Number of observations that each refers to.
        limit: Tokens that a text encoder takes.
        count_tokens: Number of tokens of a sentence.
        report: Receives what is found.
    """
    first: dict[str, Annotation] = {}
    alike: dict[str, Annotation] = {}
    for annotation, count in zip(annotations, labels_per_expression, strict=True):
        sentence, file = annotation.expression.sentence, annotation.file
        if not count:
            hint = "It only gives negatives in training, and in a test its HOTA is 0 or undefined"
            error = InputError(f"the expression {sentence!r} refers to nothing", file=file, hint=hint)
            report("empty-expression", error)
        tokens = count_tokens(sentence)
        if tokens > limit:
            problem = f"the sentence has {tokens} tokens or more; all after {limit} are cut off"
            report("long-sentence", InputError(problem, file=file, expected=f"at most {limit} tokens"))
        plain = " ".join(re.findall(r"\w+", sentence.lower()))
        if sentence in first:
            problem = f"the sentence {sentence!r} is also that of {first[sentence].file}"
            hint = "Remove one: their referents are two answers to one question"
            report("duplicate-expression", InputError(problem, file=file, expected="sentences that differ", hint=hint))
        elif plain in alike:
            other = alike[plain].expression.sentence
            problem = f"the sentence {sentence!r} differs from {other!r} only in case and punctuation"
            report("similar-expression", InputError(problem, file=file))
        first.setdefault(sentence, annotation)
        alike.setdefault(plain, annotation)
