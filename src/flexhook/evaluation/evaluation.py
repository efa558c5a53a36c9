"""The result of an evaluation: model, oracle and accept-all side by side, whole and for subsets of the expressions."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flexhook.datasets.attributes import ATTRIBUTES, attributes
from flexhook.errors import InputError
from flexhook.evaluation.statistics import METRICS, Statistics
from flexhook.structures.files import atomic_write
from flexhook.structures.result_files import DAMAGED

ANSWERS = ("model", "oracle", "accept_all")
AGAIN = "Evaluate the run with `flexhook evaluate`"
_COLUMNS = ("video", "slug", "sentence", "referents")


@dataclass(frozen=True)
class SequenceInfo:
    """What a sequence is about.

    Attributes:
        video: Name of its video.
        slug: File name of its expression.
        sentence: The expression.
        tags: Marks of the expression's source (``"unseen_combination"``).
        referents: Number of true identities that it refers to in this video.
    """

    video: str
    slug: str
    sentence: str
    tags: tuple[str, ...]
    referents: int

    @property
    def groups(self) -> dict[str, str]:
        """The attributes that the sentence names: ``{"colour": "red", ...}``."""
        return attributes(self.sentence)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of S sequences, a sequence being one (video, expression).

    Attributes:
        sequences: What each is about.
        model: Statistics of the method's answers.
        oracle: Of the answers in which each tracked box has the labels of the true box it overlaps: the best that
            these tracks allow (nearly: the labels are chosen box by box, not for the metric). None for a method that does
            not keep rejected candidates.
        accept_all: Of accepting every tracked box for every expression; None likewise.
        labels: (S, 3) int64: the method's accepted observations that the oracle accepts too, that it does not, and
            the oracle's that the method misses.
    """

    sequences: tuple[SequenceInfo, ...]
    model: Statistics
    oracle: Statistics | None
    accept_all: Statistics | None
    labels: np.ndarray

    @property
    def answers(self) -> dict[str, Statistics]:
        """Statistics by name, those that exist among ``model``, ``oracle`` and ``accept_all``."""
        found = {"model": self.model, "oracle": self.oracle, "accept_all": self.accept_all}
        return {name: statistics for name, statistics in found.items() if statistics is not None}

    def select(self, rows: np.ndarray) -> Evaluation:
        """The sequences of a boolean mask or an index array."""
        chosen = np.arange(len(self.sequences))[rows]
        infos = tuple(self.sequences[s] for s in chosen)
        parts = {name: statistics.select(chosen) for name, statistics in self.answers.items()}
        return Evaluation(infos, parts["model"], parts.get("oracle"), parts.get("accept_all"), self.labels[chosen])

    def subsets(self) -> Iterator[tuple[str, np.ndarray]]:
        """Named subsets of the sequences that are not empty, as masks.

        ``unseen`` (any tag beginning so), each tag, and ``group/<attribute>``: sentences that name the attribute.
        """
        tags = sorted({tag for info in self.sequences for tag in info.tags})
        masks = {"unseen": [any(tag.startswith("unseen") for tag in info.tags) for info in self.sequences]}
        masks |= {tag: [tag in info.tags for info in self.sequences] for tag in tags}
        for attribute in ATTRIBUTES:
            masks[f"group/{attribute}"] = [attribute in info.groups for info in self.sequences]
        for name, mask in masks.items():
            if any(mask):
                yield name, np.array(mask)

    def metrics(self, prefix: str = "test") -> dict[str, float]:
        """Flat metrics, 0 to 100 (MOTA may be below 0), counts as they are.

        Args:
            prefix: Stands before the model's; the limits' begin with ``oracle/`` and ``accept_all/``.

        Returns:
            ``test/HOTA`` and the other pooled metrics, ``test/HOTA_mean_over_expressions``,
            ``test/zero_HOTA_expressions``, ``test/expressions``, ``test/expressions_without_referents``,
            ``test/precision``, ``recall`` and ``F1`` of the observations' labels where there is an oracle, and for each
            subset ``test/<subset>/HOTA``, ``DetA``, ``AssA`` and the same counts.
        """
        out: dict[str, float] = {}
        for answer, statistics in self.answers.items():
            head = prefix if answer == "model" else answer
            out |= {f"{head}/{name}": value for name, value in _summary(statistics, METRICS).items()}
        out[f"{prefix}/expressions_without_referents"] = float(sum(info.referents == 0 for info in self.sequences))
        if self.oracle is not None:
            for name, values in label_scores(self.labels.sum(0, keepdims=True)).items():
                out[f"{prefix}/{name}"] = float(100 * values[0])
        for subset, mask in self.subsets():
            for answer, statistics in self.answers.items():
                head = prefix if answer == "model" else answer
                summary = _summary(statistics.select(mask), ("HOTA", "DetA", "AssA"))
                out |= {f"{head}/{subset}/{name}": value for name, value in summary.items()}
        return out

    def rows(self) -> list[dict[str, Any]]:
        """A row per sequence: what it is about, every metric of the model (0 to 100), the limits' HOTA, its groups."""
        scores = self.model.per_sequence()
        limits = {f"{name}_HOTA": statistics.per_sequence()["HOTA"] for name, statistics in self.answers.items()}
        del limits["model_HOTA"]
        labels = {} if self.oracle is None else label_scores(self.labels)
        return [
            {
                "video": info.video,
                "slug": info.slug,
                "sentence": info.sentence,
                "referents": info.referents,
                "true_boxes": int(self.model.truth[s]),
                "predicted_boxes": int(self.model.predicted[s]),
                **{name: float(100 * scores[name][s]) for name in METRICS},
                **{name: float(100 * values[s]) for name, values in labels.items()},
                **{name: float(100 * values[s]) for name, values in limits.items()},
                "tags": " ".join(info.tags),
                **{name: info.groups.get(name, "") for name in ATTRIBUTES},
            }
            for s, info in enumerate(self.sequences)
        ]

    def write_expressions_csv(self, path: str | Path) -> None:
        """Write :meth:`rows` as ``expressions.csv``."""
        rows = self.rows()
        with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, list(rows[0]))
            table.writeheader()
            table.writerows(rows)

    def save(self, path: str | Path) -> None:
        """Write everything to one ``.npz`` (``sequences.npz``), from which reports pool, resample and draw curves."""
        arrays = {key: np.array([getattr(info, key) for info in self.sequences]) for key in _COLUMNS}
        arrays |= {"tags": np.array([json.dumps(info.tags) for info in self.sequences]), "labels": self.labels}
        for answer, statistics in self.answers.items():
            arrays |= statistics.arrays(answer)
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: The file is missing, truncated or corrupted.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                own = (*_COLUMNS, "tags", "labels")
                known = [name for name in arrays.files if name in own or name.partition("/")[0] in ANSWERS]
                content = {name: arrays[name] for name in known}
            tags = [tuple(json.loads(entry)) for entry in content["tags"].tolist()]
            columns = zip(tags, *(content[key].tolist() for key in _COLUMNS), strict=True)
            there = [answer for answer in ANSWERS if any(key.startswith(f"{answer}/") for key in content)]
            parts = {answer: Statistics.from_arrays(content, answer) for answer in dict.fromkeys(["model", *there])}
            infos = tuple(
                SequenceInfo(video, slug, sentence, tag, referents) for tag, video, slug, sentence, referents in columns
            )
        except FileNotFoundError:
            raise InputError("the file does not exist", file=path, hint=AGAIN) from None
        except DAMAGED as error:
            raise InputError(f"the file is truncated or corrupted ({error})", file=path, hint=AGAIN) from None
        return cls(infos, parts["model"], parts.get("oracle"), parts.get("accept_all"), content["labels"])

    def __str__(self) -> str:
        pooled = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "IDF1")
        lines = [
            f"{len(self.sequences)} (video, expression) sequences, "
            f"{sum(info.referents == 0 for info in self.sequences)} of them without referents",
            "",
            f"{'':24}" + "".join(f"{name:>9}" for name in pooled) + f"{'mean HOTA':>12}{'HOTA 0':>9}",
        ]
        for answer, statistics in self.answers.items():
            scores = _summary(statistics, METRICS)
            lines.append(
                f"{answer.replace('_', ' '):24}"
                + "".join(f"{scores[name]:9.2f}" for name in pooled)
                + f"{scores['HOTA_mean_over_expressions']:12.2f}{scores['zero_HOTA_expressions']:9.0f}"
            )
        lines += [
            "",
            f"{'pooled HOTA of':24}{'sequences':>10}"
            + "".join(f"{a.replace('_', ' '):>12}" for a in self.answers)
            + f"{'model mean':>12}{'HOTA 0':>9}",
        ]
        for subset, mask in self.subsets():
            part = self.model.select(mask)
            hota = [100 * statistics.select(mask).pooled()["HOTA"] for statistics in self.answers.values()]
            lines.append(
                f"{subset.removeprefix('group/'):24}{mask.sum():10d}"
                + "".join(f"{h:12.2f}" for h in hota)
                + f"{100 * part.mean_hota():12.2f}{part.zero_hota():9d}"
            )
        return "\n".join(lines)


def label_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1, 0 to 1, of (S, 3) true positives, false positives and false negatives; 0 for 0 of 0."""
    tp, fp, fn = counts.T
    return {
        "precision": tp / np.maximum(1, tp + fp),
        "recall": tp / np.maximum(1, tp + fn),
        "F1": 2 * tp / np.maximum(1, 2 * tp + fp + fn),
    }


def _summary(statistics: Statistics, metrics: tuple[str, ...]) -> dict[str, float]:
    """Pooled metrics and the mean over expressions, 0 to 100, and the two counts."""
    pooled = statistics.pooled()
    return {name: 100 * pooled[name] for name in metrics} | {
        "HOTA_mean_over_expressions": 100 * statistics.mean_hota(),
        "zero_HOTA_expressions": float(statistics.zero_hota()),
        "expressions": float(len(statistics)),
    }
