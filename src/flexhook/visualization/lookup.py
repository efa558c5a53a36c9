"""Finds what a user names, a video or an expression, and says what comes near where there is no such thing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from flexhook.errors import InputError
from flexhook.structures import Expression

MOST_NAMED = 8


def find_video(name: str, videos: Sequence[str]) -> str:
    """The video of that name.

    Raises:
        InputError: There is none; names those that come near.
    """
    if name in videos:
        return name
    raise InputError(f"video '{name}' has no scores", expected=_near(name, videos))


def matches(wanted: str, expressions: Sequence[Expression]) -> list[int]:
    """Places of the expression with that slug, else with that sentence, else of those with the same words."""
    words = _words(wanted)
    tests: tuple[Callable[[Expression], bool], ...] = (
        lambda e: e.slug == wanted,
        lambda e: e.sentence == wanted,
        lambda e: words in (_words(e.sentence), _words(e.slug)),
    )
    for fits in tests:
        if found := [k for k, e in enumerate(expressions) if fits(e)]:
            return found
    return []


def find_expressions(wanted: str, known: Mapping[str, Sequence[Expression]]) -> list[tuple[str, Expression]]:
    """The expression in every video that has it.

    Args:
        wanted: A slug or a sentence; case and punctuation need not agree.
        known: The expressions of each video.

    Returns:
        (video, expression) pairs, at least one.

    Raises:
        InputError: No video has it (the message names those that come near), or one has several that fit.
    """
    out = []
    for video, expressions in known.items():
        found = [expressions[k] for k in matches(wanted, expressions)]
        if len(found) > 1:
            slugs = ", ".join(e.slug for e in found[:MOST_NAMED])
            raise InputError(f"'{wanted}' fits {len(found)} expressions of video {video}", expected=f"a slug: {slugs}")
        out += [(video, expression) for expression in found]
    if not out:
        where = f"video {next(iter(known))}" if len(known) == 1 else f"any of {len(known)} videos"
        sentences = list(dict.fromkeys(e.sentence for expressions in known.values() for e in expressions))
        raise InputError(f"'{wanted}' is no expression of {where}", expected=_near(wanted, sentences))
    return out


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _near(wanted: str, known: Sequence[str]) -> str:
    """Up to eight of the known names, the nearest ones where there are more."""
    if not known:
        return "a name, but there is none"
    if len(known) > MOST_NAMED:
        by_words = {_words(name): name for name in known}
        near = difflib.get_close_matches(_words(wanted), by_words, n=MOST_NAMED, cutoff=0.4)
        if near:
            return f"one of {len(known)}, near are: {', '.join(by_words[n] for n in near)}"
    more = f", ... ({len(known)} in all)" if len(known) > MOST_NAMED else ""
    return f"one of: {', '.join(sorted(known)[:MOST_NAMED])}{more}"
