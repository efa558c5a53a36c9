"""The errors that this project raises on purpose: each is one message a reader can act on."""

from __future__ import annotations

from pathlib import Path


class FlexHookError(Exception):
    """Base of every error that the commands print as one message instead of a traceback."""


class InputError(FlexHookError):
    """A file, folder or value given by the user is not what was expected.

    Args:
        problem: What was found, in words.
        file: The file or folder in which it was found.
        line: 1-based line in ``file``; for JSON the line of the offending entry where it is known.
        expected: What was expected instead.
        hint: What to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem, self.file, self.line, self.expected, self.hint = problem, file, line, expected, hint
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        message = where + problem.rstrip(".") + "."
        if expected:
            message += f" Expected {expected.rstrip('.')}."
        if hint:
            message += f" {hint.rstrip('.')}."
        super().__init__(message)

    def __reduce__(self):
        return _rebuild, (type(self), self.problem, self.file, self.line, self.expected, self.hint)


class ConfigError(InputError):
    """A configuration value is unknown, of the wrong type or contradicts another one."""


class Stopped(SystemExit):
    """SIGTERM or Ctrl-C, raised in the main thread of a command; its code is the exit status, 143 or 130.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.advice: str | None = None  #: how to go on, for the message

    def __str__(self) -> str:
        said = "interrupted" if self.code == 130 else "terminated"
        return f"{said}; {self.advice}" if self.advice else said


def _rebuild(cls, problem, file, line, expected, hint):
    return cls(problem, file=file, line=line, expected=expected, hint=hint)
