"""The two building blocks that every part of the model is made of: the residual MLP and the attention block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor, a half-precision one in float32: for what autocast would round too much."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class ResidualMLP(nn.Module):
    """y = W1 x + b1; out = W2 (GELU(y) + x) + b2, from C channels to ``out_features``.

    The second map is linear, so a mean over frames may be taken between :meth:`hidden` and :meth:`project`.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_features, in_features)
        self.fc2 = nn.Linear(in_features, out_features)

    def hidden(self, x: Tensor) -> Tensor:
        """GELU(W1 x + b1) + x: (..., C) -> (..., C)."""
        return F.gelu(self.fc1(x)) + x

    def project(self, hidden: Tensor) -> Tensor:
        """The second map: (..., C) -> (..., out_features)."""
        return self.fc2(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., out_features)."""
        return self.project(self.hidden(x))


@dataclass
class OwnTokens:
    """Keys and values that belong to one query each (its sentence's words, its reference tokens).

    Attributes:
        key: (B or 1, N, K, heads, head width); a first dimension of 1 is shared by all windows.
        value: The same shape.
        mask: (B or 1, N, K) bool, False where a token is padding; None where all count.
    """

    key: Tensor
    value: Tensor
    mask: Tensor | None = None

    def attend(self, query: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Attention of (B, N or 1, heads, d) queries: output (B, N, heads, d) and log-sum-exp (B, N, heads)."""
        batch, count = max(query.shape[0], self.key.shape[0]), self.key.shape[1]
        query = query.expand(batch, count, *query.shape[2:])
        if self.key.shape[0] == 1:
            logits = torch.einsum("bnhd,nkhd->bnhk", query, self.key[0])
        else:
            logits = torch.einsum("bnhd,bnkhd->bnhk", query, self.key)
        logits = at_least_float32(logits) * scale
        if self.mask is not None:
            logits = logits.masked_fill(~self.mask[:, :, None, :], float("-inf"))
        weight = logits.softmax(-1)
        if self.value.shape[0] == 1:
            out = torch.einsum("bnhk,nkhd->bnhd", weight, self.value[0])
        else:
            out = torch.einsum("bnhk,bnkhd->bnhd", weight, self.value)
        return out, logits.logsumexp(-1)


@dataclass
class GroupedTokens:
    """Keys and values that belong to one query each, the same ones for all windows of a group (windows of the same frames).

    The groups' windows are padded to one number, so that no group's tokens are repeated for its windows.

    Attributes:
        key: (G, N, K, heads, head width).
        value: The same shape.
        slot: (B,) int64, each window's place among G * ``size``: its group times ``size``, plus its rank in the group.
        size: Windows of the largest group.
    """

    key: Tensor
    value: Tensor
    slot: Tensor
    size: int

    def attend(self, query: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Attention of (B, N or 1, heads, d) queries: output (B, N, heads, d) and log-sum-exp (B, N, heads)."""
        groups, count = self.key.shape[:2]
        own = query.new_zeros(groups * self.size, *query.shape[1:]).index_copy(0, self.slot, query)
        own = own.unflatten(0, (groups, -1)).expand(-1, -1, count, -1, -1)
        logits = at_least_float32(torch.einsum("gbnhd,gnkhd->gbnhk", own, self.key)) * scale
        out = torch.einsum("gbnhk,gnkhd->gbnhd", logits.softmax(-1), self.value)
        return out.flatten(0, 1).index_select(0, self.slot), logits.logsumexp(-1).flatten(0, 1).index_select(0, self.slot)


@dataclass
class SharedTokens:
    """Keys and values that all queries of a batch entry attend to (a window's trajectory tokens).

    Attributes:
        key: (B, K, heads, head width).
        value: The same shape.
        mask: (B, K) bool, False where a token is padding; None where all count.
    """

    key: Tensor
    value: Tensor
    mask: Tensor | None = None

    def attend(self, query: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Attention of (B, N, heads, d) queries: output of the same shape and log-sum-exp (B, N, heads)."""
        logits = at_least_float32(torch.einsum("bnhd,bkhd->bhnk", query, self.key)) * scale
        if self.mask is not None:
            logits = logits.masked_fill(~self.mask[:, None, None, :], float("-inf"))
        out = torch.einsum("bhnk,bkhd->bnhd", logits.softmax(-1), self.value)
        return out, logits.logsumexp(-1).transpose(1, 2)


@dataclass
class UnmappedTokens:
    """Tokens of a window before the key and value maps, for the one query that all expressions start from.

    The maps are linear, so a single query may be brought to the tokens instead: q . (Wk x) = (Wk^T q) . x, and the mean
    of the values is Wv times the mean of the tokens. For one query that is some hundred times less work.

    Attributes:
        tokens: (B, K, D) after the key/value LayerNorm.
        wk: (heads, head width, D) key map.
        wv: (heads, head width, D) value map.
    """

    tokens: Tensor
    wk: Tensor
    wv: Tensor

    def attend(self, query: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Attention of (B, n, heads, d) queries: output of the same shape and log-sum-exp (B, n, heads)."""
        moved = torch.einsum("bnhd,hdc->bnhc", query * scale, self.wk)
        logits = at_least_float32(torch.einsum("bnhc,bkc->bnhk", moved, self.tokens))
        mean = torch.einsum("bnhk,bkc->bnhc", logits.softmax(-1), self.tokens)
        return torch.einsum("bnhc,hdc->bnhd", mean, self.wv), logits.logsumexp(-1)


TokenSet = OwnTokens | GroupedTokens | SharedTokens | UnmappedTokens


class AttentionBlock(nn.Module):
    """Pre-norm cross-attention with a feed-forward part (LayerNorms, four bias-free maps, bias-free MLP D -> 4D -> D).

    One softmax runs over all the given token sets together. It is computed set by set and merged by the sets'
    log-sum-exp, which is the same number, so that a set shared by many queries is never repeated, and a query shared
    by many expressions meets a window's tokens once.

    The four attention matrices start Xavier-uniform, as in the published code; the feed-forward part keeps PyTorch's default.

    Args:
        width: D, channels of queries and tokens.
        heads: Attention heads; D must be a multiple.
    """

    def __init__(self, width: int, heads: int = 8) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} attention heads")
        self.heads = heads
        self.q_norm, self.kv_norm, self.ffn_norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.wq, self.wk = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.wv, self.wo = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        for matrix in (self.wq, self.wk, self.wv, self.wo):
            nn.init.xavier_uniform_(matrix.weight)
        self.linear_1, self.linear_2 = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))

    def keys_values(self, tokens: Tensor, position: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Keys and values of tokens.

        Args:
            tokens: (..., K, D).
            position: (K, D) position vectors, added to the normalised tokens before the key map only.

        Returns:
            Two tensors (..., K, heads, D / heads).
        """
        x = self.kv_norm(tokens)
        return self._split(self.wk(x if position is None else x + position)), self._split(self.wv(x))

    def unmapped(self, tokens: Tensor) -> UnmappedTokens:
        """(B, K, D) tokens for a block whose query is one per window."""
        wk, wv = (w.weight.unflatten(0, (self.heads, -1)) for w in (self.wk, self.wv))
        return UnmappedTokens(self.kv_norm(tokens), wk, wv)

    def forward(self, query: Tensor, token_sets: Sequence[TokenSet]) -> Tensor:
        """Attend to all token sets at once, then the feed-forward part.

        Args:
            query: (B, N or 1, D).
            token_sets: The sets; those of kind :class:`OwnTokens` determine N.

        Returns:
            (B, N, D).
        """
        q = self._split(self.wq(self.q_norm(query)))
        scale = q.shape[-1] ** -0.5
        parts = [tokens.attend(q, scale) for tokens in token_sets]
        if len(parts) == 1:
            mixed = parts[0][0]
        else:
            outs, sums = zip(*parts, strict=True)
            share = torch.stack(torch.broadcast_tensors(*sums), -1).softmax(-1)  # (B, N, heads, sets)
            mixed = sum(share[..., i, None] * out for i, out in enumerate(outs))
        x = query + self.wo(mixed.flatten(-2))
        return x + self.linear_2(F.gelu(self.linear_1(self.ffn_norm(x))))
