"""Tokenizers: a model's own, and one that needs no files for models with random weights."""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AutoTokenizer

from flexhook.encoders.hub import address, first_line, hub
from flexhook.errors import InputError


class Tokenizer(Protocol):
    """What an encoder needs of a tokenizer."""

    pad: int

    def __call__(self, sentence: str) -> list[int]:
        """Ids of a whole sentence, special ones included, not truncated."""

    def truncate(self, ids: list[int], length: int) -> list[int]:
        """The ids cut to ``length``."""


class PretrainedTokenizer:
    """A transformers tokenizer.

    Args:
        name: Folder, or name on the hub.
        pad: Id of padding, where it is not the tokenizer's own.
        keep_closing: Whether a truncated sentence keeps its closing special tokens.

    Raises:
        InputError: The files cannot be had.
    """

    def __init__(self, name: str, pad: int | None = None, keep_closing: bool = True) -> None:
        try:
            with hub(needed=not Path(name).is_dir()):
                self.tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except Exception as error:
            option = "text.tokenizer=FOLDER (for a converted checkpoint: convert it with --tokenizer FOLDER)"
            where = f"into {name}" if Path(name).is_dir() else f"into a folder and set {option}"
            source = "where the model came from" if Path(name).is_dir() else address(name)
            raise InputError(
                f"the tokenizer of '{name}' cannot be had ({first_line(error)})",
                expected="tokenizer.json, or vocab.json with merges.txt, or vocab.txt",
                hint=f"Fetch tokenizer_config.json and tokenizer.json (or the vocabulary files) from {source} "
                f"on another machine {where}; for a model with random weights set text.tokenizer=hashing",
            ) from error
        known = (pad, self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        self.pad: int = next(i for i in known if i is not None)
        self._closing = self._count_closing() if keep_closing else 0

    def __call__(self, sentence: str) -> list[int]:
        """Ids of a whole sentence, special ones included, not truncated."""
        return self.tokenizer(sentence, verbose=False)["input_ids"]

    def truncate(self, ids: list[int], length: int) -> list[int]:
        """The ids cut to ``length``."""
        return ids[: length - self._closing] + ids[len(ids) - self._closing :]

    def _count_closing(self) -> int:
        """Number of special tokens after a sentence: those of an empty one but the ones it opens with."""
        empty, word = self.tokenizer("")["input_ids"], self.tokenizer("a")["input_ids"]
        opening = next((i for i, (a, b) in enumerate(zip(empty, word, strict=False)) if a != b), len(empty))
        return len(empty) - opening


class HashingTokenizer:
    """Words to ids by their checksum: needs no files and knows no word pieces; only for models with random weights.

    Args:
        vocabulary: Number of ids of the model.
        begin: Id before a sentence.
        end: Id after a sentence.
        pad: Id of padding.
    """

    def __init__(self, vocabulary: int, begin: int = 0, end: int = 2, pad: int = 1) -> None:
        self.begin, self.end, self.pad = begin, end, pad
        self._first = max(begin, end, pad) + 1
        if vocabulary <= self._first:
            raise InputError(f"a vocabulary of {vocabulary} leaves no id for words", expected=f"over {self._first}")
        self._words = vocabulary - self._first

    def __call__(self, sentence: str) -> list[int]:
        """Ids of a whole sentence, special ones included, not truncated."""
        words = re.findall(r"\w+|[^\w\s]", sentence.lower())
        return [self.begin, *(self._first + zlib.crc32(w.encode()) % self._words for w in words), self.end]

    def truncate(self, ids: list[int], length: int) -> list[int]:
        """The ids cut to ``length``, the closing id kept."""
        return [*ids[: length - 1], self.end]


class PaddedTokens:
    """Sentences to padded ids of one length, longer ones truncated with one warning each.

    Args:
        tokenizer: The tokenizer.
        length: Tokens per sentence.
    """

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        self.tokenizer, self.length = tokenizer, length
        self._warned: set[str] = set()

    def __call__(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids (N, length) int64 and mask (N, length) bool, True where there is a token."""
        ids = torch.full((len(sentences), self.length), self.tokenizer.pad, dtype=torch.int64)
        mask = torch.zeros(len(sentences), self.length, dtype=torch.bool)
        for row, sentence in enumerate(sentences):
            tokens = self.tokenizer(sentence)
            if len(tokens) > self.length:
                self._warn(sentence, len(tokens))
                tokens = self.tokenizer.truncate(tokens, self.length)
            ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
            mask[row, : len(tokens)] = True
        return ids, mask

    def _warn(self, sentence: str, tokens: int) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            warnings.warn(f"the sentence has {tokens} tokens and is cut to {self.length}: '{sentence}'", stacklevel=4)
