"""DESIGN.md, section 4, once more: one window at a time, dense attention, nothing shared, nothing rearranged.

Slow on purpose. It takes the weights of a FlexHook (by name) and nothing else of its code.
"""

import math

import torch
from torch.nn import functional as F


class Weights:
    """Named tensors below a prefix: ``weights / "decoder" / 0`` and ``weights["wq"]``."""

    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    def __truediv__(self, name):
        return Weights(self.tensors, f"{self.prefix}{name}.")

    def __getitem__(self, name):
        return self.tensors[self.prefix + name]

    def __contains__(self, name):
        return self.prefix + name in self.tensors


def weights_of(module):
    return Weights(dict(module.named_parameters()))


def layer_norm(w, x):
    mean = x.sum(-1, keepdim=True) / x.shape[-1]
    variance = ((x - mean) ** 2).sum(-1, keepdim=True) / x.shape[-1]
    return (x - mean) / torch.sqrt(variance + 1e-5) * w["weight"] + w["bias"]


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def residual_mlp(w, x):
    y = x @ w["fc1.weight"].T + w["fc1.bias"]
    return (gelu(y) + x) @ w["fc2.weight"].T + w["fc2.bias"]


def attention_block(w, heads, query, tokens, position, allowed):
    """query (n, D); tokens and their position vectors (k, D); allowed (n, k) bool: who attends to what -> (n, D)."""
    width = query.shape[-1]
    d = width // heads
    x = layer_norm(w / "kv_norm", tokens)
    q = layer_norm(w / "q_norm", query) @ w["wq.weight"].T
    k, v = (x + position) @ w["wk.weight"].T, x @ w["wv.weight"].T
    out = []
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        score = q[:, part] @ k[:, part].T / math.sqrt(d)
        out.append(torch.softmax(torch.where(allowed, score, torch.tensor(-torch.inf)), -1) @ v[:, part])
    y = query + torch.cat(out, -1) @ w["wo.weight"].T
    return y + gelu(layer_norm(w / "ffn_norm", y) @ w["linear_1.weight"].T) @ w["linear_2.weight"].T


def grid_points(box, finest, grid):
    """Cell centres of a box (x1, y1, x2, y2): (h * w, 2), row-major, in [-1, 1]."""
    (fh, fw), (h, w) = finest, grid
    x1, y1, x2, y2 = box.tolist()
    gw, gh = (x2 - x1) / fw, (y2 - y1) / fh
    x = torch.linspace(x1 + gw / 2, x2 - gw / 2, fw, dtype=torch.float64)
    y = torch.linspace(y1 + gh / 2, y2 - gh / 2, fh, dtype=torch.float64)
    at = torch.stack([x.expand(fh, fw), y[:, None].expand(fh, fw)])  # (2, fh, fw)
    return 2 * F.adaptive_avg_pool2d(at, (h, w)).flatten(1).T - 1


def sample(feature, points, align_corners):
    """feature (C, h, w), points (k, 2) -> (k, C)."""
    at = F.grid_sample(feature[None], points[None, None], "bilinear", "zeros", align_corners=align_corners)
    return at[0, :, 0].T


def displacement_channels(points):
    """(T, k, 2) -> T tensors (k, 2)."""
    last = len(points) - 1
    return [points[t + 1] - points[t] if t < last else points[t] for t in range(last + 1)]


def reference_points(w, heads, tokens, mask, position, num_scales):
    """Of one sentence, tokens (L, D): a tensor (M, 2) per scale."""
    x = w["queries"] / w["queries"].detach().square().sum().sqrt()
    out = []
    for s in range(num_scales):
        x = attention_block(w / "blocks" / s, heads, x, tokens, position, mask.expand(len(x), -1))
        linear = w / "coordinate" / s
        out.append(2 / (1 + torch.exp(-(x @ linear["weight"].T + linear["bias"]))) - 1)
    return out


def trajectory_tokens(w, maps, boxes, finest, grids):
    """maps per scale (T, C, h, w), boxes (T, 4) -> per scale tokens before and after the finer scale is added."""
    own, summed = [], []
    for s, grid in enumerate(grids):
        points = torch.stack([grid_points(box, finest, grid) for box in boxes]).to(maps[s].dtype)
        channels = []
        for t, motion in enumerate(displacement_channels(points)):
            channels += [sample(maps[s][t], points[t], False), motion]
        tokens = residual_mlp(w / "mlp" / s, layer_norm(w / "norm" / s, torch.cat(channels, -1)))
        own.append(tokens)
        if s:
            h, width = grids[s - 1]
            reduction = w / "reduction" / (s - 1)
            finer = summed[-1].T.reshape(1, -1, h, width)
            finer = F.conv2d(finer, reduction["0.weight"], reduction["0.bias"], stride=2, padding=1)
            finer = F.conv2d(finer, reduction["1.weight"], reduction["1.bias"])
            tokens = tokens + finer[0].flatten(1).T
        summed.append(tokens)
    return own, summed


def window(w, heads, maps, boxes, tokens, mask, finest, grids):
    """One window and its N sentences.

    maps per scale (T, C, h, w); boxes (T, 4); tokens (N, L, D); mask (N, L).
    Returns logits (S, N, 2), reference points per scale (N, M, 2), trajectory tokens per scale before the reduction.
    """
    num, length = mask.shape
    position, conditioned = w["text_position"][:length], "hook.conditioning.queries" in w
    hook = w / "hook" / "conditioning"
    points = []
    if conditioned:
        each = [reference_points(hook, heads, tokens[n], mask[n], position, len(grids)) for n in range(num)]
        points = [torch.stack([p[s] for p in each]) for s in range(len(grids))]
    own, trajectory = trajectory_tokens(w / "temporal", maps, boxes, finest, grids)

    centre_size = [[(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes.tolist()]
    start = torch.tensor(centre_size, dtype=tokens.dtype).flatten() @ w["decoder.box_embedding"]
    query = (start / math.sqrt(tokens.shape[-1])).expand(num, -1)
    logits = []
    for s in range(len(grids)):
        # One long sequence: the words of all sentences, the reference tokens of all sentences, the trajectory tokens.
        parts, positions = [tokens.flatten(0, 1)], [position.repeat(num, 1)]
        owner = [n for n in range(num) for _ in range(length)]
        valid = mask.flatten().tolist()
        if conditioned:
            for n in range(num):
                seen = [residual_mlp(hook / "mlp" / s, layer_norm(hook / "norm" / s, sample(m, points[s][n], True)))
                        for m in maps[s]]
                parts.append(sum(seen) / len(seen))
                owner += [n] * len(parts[-1])
                valid += [True] * len(parts[-1])
        parts.append(trajectory[s])
        owner += [-1] * len(trajectory[s])
        valid += [True] * len(trajectory[s])
        sequence = torch.cat(parts)
        positions.append(torch.zeros(len(sequence) - num * length, tokens.shape[-1], dtype=tokens.dtype))
        allowed = torch.tensor([[v and o in (-1, n) for o, v in zip(owner, valid, strict=True)] for n in range(num)])
        query = attention_block(w / "decoder" / "blocks" / s, heads, query, sequence, torch.cat(positions), allowed)
        head = w / "decoder" / "heads" / s
        logits.append(gelu(query @ head["fc1.weight"].T) @ head["fc2.weight"].T)
    return torch.stack(logits), points, own


def predict(model, batch, heads, finest, grids):
    """Logits (B, S, N, 2) and points per scale (B, N, M, 2) of a batch; only the encoders are the model's own."""
    w = weights_of(model)
    maps, tokens = batch.maps, batch.tokens
    if maps is None:
        kind = batch.boxes.dtype
        mean, std = (torch.tensor(v, dtype=kind)[:, None, None] for v in (model.visual.mean, model.visual.std))
        maps = model.visual((batch.images.to(kind) / 255 - mean) / std)
    if tokens is None:
        tokens = model.text(batch.ids, batch.mask)
    logits, points = [], []
    for b in range(len(batch.frame)):
        heard = torch.arange(len(tokens)) if batch.expression is None else batch.expression[b]
        seen = [m[batch.frame[b]] for m in maps]
        said, where, _ = window(w, heads, seen, batch.boxes[b], tokens[heard], batch.mask[heard], finest, grids)
        logits.append(said)
        points.append(where)
    return torch.stack(logits), [torch.stack(p) for p in zip(*points, strict=True)]


def regulariser(points, weight=0.01):
    """Points per scale (B, N, M, 2): groups one by one, pairs one by one."""

    def r(group):
        n = len(group)
        tau = 0.8 * math.sqrt((2 * (1 - 0.1)) ** 2 / n)
        pairs = [math.exp(-sum((a - b) ** 2 for a, b in zip(group[i], group[j], strict=True)) / tau**2)
                 for i in range(n) for j in range(n) if i != j]
        edges = [math.log1p(math.exp(30 * (0.1 - min(1 - abs(x), 1 - abs(y))))) for x, y in group]
        return (sum(pairs) / len(pairs) if pairs else 0.0) + 0.5 * sum(edges) / n

    total = 0.0
    for p in points:
        windows, sentences, count, _ = p.shape
        values = p.tolist()
        own = [r(values[b][n]) for b in range(windows) for n in range(sentences)]
        across = [r([values[b][n][m] for n in range(sentences)]) for b in range(windows) for m in range(count)]
        total += weight * (sum(own) / len(own) + sum(across) / len(across)) / 2
    return total
