"""The text tower of OpenAI's CLIP, every token kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flexhook.encoders.hub import fetch
from flexhook.encoders.tokenizers import HashingTokenizer, PaddedTokens, PretrainedTokenizer
from flexhook.encoders.weight_files import read_weights
from flexhook.errors import InputError


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return x * torch.sigmoid(1.702 * x)


class ResidualAttentionBlock(nn.Module):
    """Pre-norm causal self-attention and MLP.

    Args:
        width: Channels.
        heads: Attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        layers = [("c_fc", nn.Linear(width, 4 * width)), ("gelu", QuickGELU()), ("c_proj", nn.Linear(4 * width, width))]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor, causal: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C); ``causal`` (L, L) bool is True where a token must not look."""
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=causal, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """The stack of blocks, under the original names."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualAttentionBlock(width, heads) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        for block in self.resblocks:
            x = block(x, causal)
        return x


class ClipTextEncoder(nn.Module):
    """CLIP's text tower: tokens after the final LayerNorm, times the text projection.

    The original pads a sentence to 77 positions and the first ``length`` are used; since no token looks ahead,
    computing those alone gives the same numbers. Tensors have OpenAI's names.

    Args:
        length: Tokens per sentence, L, at most ``context``. Longer sentences are cut, their end token with them.
        pretrained: Name on the hub of CLIP weights in OpenAI's naming (``open_clip_model.safetensors``).
        weights: Instead: a file of such weights; a visual tower in it is ignored.
        tokenizer: Folder or name on the hub of CLIP's tokenizer; ``hashing`` is one without files, for random weights.
        width: Channels of the transformer.
        layers: Blocks.
        heads: Attention heads.
        projection: Channels after the text projection, D (1024 for RN50).
        vocabulary: Number of token ids.
        context: Positions the weights know.

    Attributes:
        width: D.
        length: L.

    Raises:
        InputError: The weights cannot be had or do not fit.
    """

    def __init__(
        self,
        length: int = 25,
        pretrained: str | None = None,
        weights: str | Path | None = None,
        tokenizer: str = "openai/clip-vit-base-patch32",
        width: int = 512,
        layers: int = 12,
        heads: int = 8,
        projection: int = 1024,
        vocabulary: int = 49408,
        context: int = 77,
    ) -> None:
        super().__init__()
        if not 3 <= length <= context:
            raise InputError(f"text length {length} was asked of CLIP", expected=f"3 to {context} tokens")
        self.length, self.width, self.tokenizer_name = int(length), int(projection), tokenizer
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.empty(context, width))
        self.transformer = Transformer(width, layers, heads)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, projection))
        self._initialise(width, layers)
        if weights is not None:
            self._load(Path(weights))
        elif pretrained:
            self._load(fetch(str(pretrained), "open_clip_model.safetensors", "text"))

    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask of sentences, padded to the encoder's length.

        Returns:
            ids (N, L) int64; mask (N, L) bool, True up to the end token.

        Raises:
            InputError: The tokenizer's files cannot be had.
        """
        return self._padded_tokens(sentences)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Projected tokens.

        Args:
            ids: (N, L') int64, L' at most L.
            mask: (N, L') bool; not needed, as padding comes last and no token looks ahead.

        Returns:
            (N, L', D).
        """
        x = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        return self.ln_final(self.transformer(x)) @ self.text_projection

    def _initialise(self, width: int, layers: int) -> None:
        """OpenAI's initialisation."""
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        block: Any
        for block in self.transformer.resblocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)

    def _load(self, file: Path) -> None:
        state = self.state_dict()
        given = read_weights(file)
        bad = [name for name in state if name not in given or given[name].shape != state[name].shape]
        if bad:
            raise InputError(
                f"{len(bad)} tensors of CLIP's text tower are missing or of another shape, such as {bad[0]}",
                file=file,
                expected="CLIP weights in OpenAI's naming (token_embedding, transformer.resblocks)",
            )
        self.load_state_dict({name: given[name] for name in state})

    @cached_property
    def _padded_tokens(self) -> PaddedTokens:
        if self.tokenizer_name == "hashing":
            return PaddedTokens(
                HashingTokenizer(self.token_embedding.num_embeddings, begin=1, end=2, pad=0), self.length
            )
        return PaddedTokens(PretrainedTokenizer(self.tokenizer_name, pad=0, keep_closing=False), self.length)
