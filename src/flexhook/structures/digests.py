"""Digests: short names for what a file, a cache entry or a result was made from."""

from __future__ import annotations

import hashlib

import numpy as np

Part = str | bytes | np.ndarray


class Digest:
    """A SHA-256 digest of parts in their order; ``("ab", "c")`` and ``("a", "bc")`` differ.

    Args:
        parts: The first parts.
    """

    def __init__(self, *parts: Part) -> None:
        self._hash, self._begun = hashlib.sha256(), False
        self.add(*parts)

    def add(self, *parts: Part) -> Digest:
        """Add parts: texts without NUL characters, bytes, or arrays, of which type and shape count too."""
        for part in parts:
            if self._begun:
                self._hash.update(b"\0")
            self._begun = True
            if isinstance(part, np.ndarray):
                self._hash.update(f"{part.dtype.str}{part.shape}".encode())
                self._hash.update(part.tobytes())
            elif isinstance(part, bytes):
                self._hash.update(f"{len(part)}:".encode() + part)
            else:
                self._hash.update(part.encode(errors="surrogateescape"))
        return self

    def hex(self, length: int = 16) -> str:
        """The first ``length`` hexadecimal digits, at most 64."""
        return self._hash.hexdigest()[:length]


def digest(*parts: Part, length: int = 16) -> str:
    """The digest of parts in ``length`` hexadecimal digits."""
    return Digest(*parts).hex(length)
