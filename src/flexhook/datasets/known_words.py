"""The words that a model was trained on, and those of a sentence that it never met."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable


def words_of(sentences: Iterable[str]) -> list[str]:
    """The different words of sentences in lower case, sorted; digits and punctuation separate them."""
    return sorted({word for sentence in sentences for word in _words(sentence)})


def unknown_words(sentence: str, known: Collection[str]) -> list[str]:
    """The words of a sentence that are not among the known ones; a plural counts as its singular.

    Args:
        sentence: The sentence.
        known: What :func:`words_of` gives for the training sentences.

    Returns:
        Words in lower case, in the order of the sentence, each once.
    """
    stems = {_singular(word) for word in known}
    return list(dict.fromkeys(word for word in _words(sentence) if _singular(word) not in stems))


def _words(sentence: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", sentence.lower())


def _singular(word: str) -> str:
    return re.sub(r"(?<=\w\w)(es|s)$", "", word)
