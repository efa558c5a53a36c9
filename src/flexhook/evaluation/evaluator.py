"""Evaluates results of videos beside their oracle and accept-all, and folders of ``gt.txt`` and ``predict.txt``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from flexhook.datasets.sequence_list import SequenceList, few
from flexhook.errors import InputError
from flexhook.evaluation.evaluation import Evaluation, SequenceInfo
from flexhook.evaluation.hints import Hints
from flexhook.evaluation.jobs import Job, statistics
from flexhook.evaluation.oracle import judged_rows, oracle_labels
from flexhook.evaluation.overlaps import Boxes
from flexhook.evaluation.statistics import Statistics
from flexhook.evaluation.trackeval_folder import Rules, read_trackeval_folder
from flexhook.structures import Expression, ExpressionResult, Results, Video
from flexhook.structures.result_check import check_last_frame
from flexhook.structures.result_files import AGAIN

Progress = Callable[[str], None]


def evaluate_videos(
    videos: Iterable[tuple[Video, Results]],
    *,
    judge_last_observation: bool = True,
    engine: str = "fast",
    processes: int = 1,
    progress: Progress | None = None,
    hints: Hints | None = None,
) -> Evaluation:
    """Evaluate results: every expression of a video is one sequence, for the method, the oracle and accept-all.

    An expression without referents in its video is a sequence as well: whatever is accepted for it counts as false
    in the pooled scores, and its own HOTA is 0 whatever the answer, as in TrackEval. The published lists hold
    no such expression; :class:`flexhook.evaluation.evaluation.Evaluation` says how many there are.

    Args:
        videos: Each video with its results; taken one at a time, and of these one expression at a time.
        judge_last_observation: False leaves a track's last observation out of every prediction, as the published
            scoring does (``protocol=published``).
        engine: ``"fast"`` or ``"trackeval"``, see :func:`flexhook.evaluation.jobs.statistics`.
        processes: Number of processes that share the sequences.
        progress: Is told of every finished video.
        hints: Looks for what may make scores low.

    Returns:
        The evaluation; without oracle and accept-all where a video's results do not keep rejected candidates.

    Raises:
        InputError: There is no sequence, or results do not cover exactly the expressions of their video, or name a frame that
            it does not have.
    """
    infos: list[tuple[SequenceInfo, ...]] = []  # of each job
    labels: list[np.ndarray] = []
    last: list[tuple[str, int]] = []  # of each job that is its video's last one: the video and how many expressions it has
    limits = True

    def jobs() -> Iterator[Job]:
        nonlocal limits
        for video, results in videos:
            _check_expressions(video, results)
            limits = limits and results.keeps_rejected
            covered, looked = 0, hints is None
            for items in by_tracks(results):
                job, counts = _job(video, items, judge_last_observation, results.file)
                infos.append(_infos(video, [item.expression for item in items]))
                labels.append(counts)
                covered += len(items)
                if hints is not None and not looked and len(job.tracks):
                    hints.look(video.name, job.truth, job.tracks, video.size)
                    looked = True
                last.append((video.name, covered) if covered == len(results) else ("", 0))
                yield job

    parts: list[list[Statistics]] = [[], [], []]
    for k, done in enumerate(statistics(jobs(), engine=engine, processes=processes)):
        count = len(infos[k])
        for answer, part in enumerate(parts):
            part.append(done.select(np.arange(answer * count, (answer + 1) * count)))
        if progress and last[k][1]:
            progress(f"evaluated video {last[k][0]}: {last[k][1]} expressions")
    if not sum(map(len, infos)):
        raise InputError("there is nothing to evaluate", expected="videos with at least one expression")
    model, oracle, accept_all = (Statistics.concatenate(part) for part in parts)
    return Evaluation(
        tuple(info for part in infos for info in part),
        model,
        oracle if limits else None,
        accept_all if limits else None,
        np.concatenate(labels).astype(np.int64),
    )


def by_tracks(results: Results) -> Iterator[list[ExpressionResult]]:
    """Consecutive expressions with the same candidates, without what takes memory per expression beyond the accepted rows."""
    items: list[ExpressionResult] = []
    for item in results:
        if items and item.tracks is not items[0].tracks:
            yield items
            items = []
        items.append(ExpressionResult(item.expression, item.tracks, np.zeros(0), item.accepted))
    if items:
        yield items


def accepted_rows(accepted: np.ndarray) -> list[np.ndarray]:
    """(n, E) bool -> for every expression the rows in which it is True."""
    return [np.flatnonzero(column) for column in np.ascontiguousarray(accepted.T)]


def referent_rows(video: Video, slugs: Iterable[str]) -> list[np.ndarray]:
    """For every expression the rows of the video's truth that it refers to."""
    return accepted_rows(_label_columns(video, slugs).toarray())


def _label_columns(video: Video, slugs: Iterable[str]) -> csr_array:
    column = {expression.slug: c for c, expression in enumerate(video.expressions)}
    return csr_array(video.labels.tocsc()[:, [column[slug] for slug in slugs]])


def _job(
    video: Video, items: list[ExpressionResult], judge_last: bool, file: Path | None = None
) -> tuple[Job, np.ndarray]:
    """Sequences of method, oracle and accept-all, one after the other, and (E, 3) counts of label decisions.

    Args:
        video: The video.
        items: Expressions with the same candidates.
        judge_last: As ``judge_last_observation``.
        file: The file of the results, for messages.
    """
    tracks = items[0].tracks
    check_last_frame(tracks.frame, video.num_frames, video.name, file, AGAIN)
    labels = _label_columns(video, (item.expression.slug for item in items))
    judged = judged_rows(tracks, judge_last)
    everything = [np.flatnonzero(judged)] * len(items)
    job = Job(Boxes.of(video.truth), Boxes.of(tracks), accepted_rows(labels.toarray()) * 3, [])
    accepted = np.stack([item.accepted for item in items], axis=1) & judged[:, None]
    oracle = oracle_labels(job.overlaps, labels) & judged[:, None]
    job.track_rows.extend([*accepted_rows(accepted), *accepted_rows(oracle), *everything])
    counts = [(accepted & oracle).sum(0), (accepted & ~oracle).sum(0), (~accepted & oracle).sum(0)]
    return job, np.stack(counts, axis=1)


def _check_expressions(video: Video, results: Results) -> None:
    known, scored = ({e.slug: e.sentence for e in part.expressions} for part in (video, results))
    for slug, sentence in scored.items():
        if known.get(slug) != sentence:
            raise InputError(
                f"the expression '{sentence}' was scored for video {video.name}, whose data do not have it",
                file=results.file,
                expected="scores of the video's own expressions",
                hint=AGAIN,
            )
    missing = [slug for slug in known if slug not in scored]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(known)} expressions of video {video.name} have no scores: {few(missing, 20)}",
            file=results.file,
            expected="scores of all of them",
            hint=f"{AGAIN}; `flexhook evaluate ... missing=empty` counts them as nothing predicted",
        )


def _infos(video: Video, expressions: Sequence[Expression]) -> tuple[SequenceInfo, ...]:
    tags = {e.slug: e.tags for e in video.expressions}
    rows = referent_rows(video, (e.slug for e in expressions))
    return tuple(
        SequenceInfo(video.name, e.slug, e.sentence, tags[e.slug], len(np.unique(video.truth.identity[r])))
        for e, r in zip(expressions, rows, strict=True)
    )


@dataclass(frozen=True, eq=False)
class FolderEvaluation:
    """Scores of a results folder.

    Attributes:
        names: ``<video>+<slug>`` of every sequence.
        statistics: Their statistics, in the same order.
    """

    names: tuple[str, ...]
    statistics: Statistics

    def summary(self) -> dict[str, Any]:
        """``{"pooled", "mean_over_expressions", "zero_HOTA_expressions", "sequences"}``, fractions from 0 to 1."""
        metrics = self.statistics.per_sequence()
        return {
            "pooled": self.statistics.pooled(),
            "mean_over_expressions": {"HOTA": self.statistics.mean_hota()},
            "zero_HOTA_expressions": self.statistics.zero_hota(),
            "sequences": {
                name: {metric: float(values[s]) for metric, values in metrics.items()} for s, name in enumerate(self.names)
            },
        }


def evaluate_folder(
    folder: str | Path,
    *,
    rules: Rules | None = None,
    engine: str = "fast",
    processes: int = 1,
    progress: Progress | None = None,
    hints: Hints | None = None,
    sequences: SequenceList | None = None,
) -> FolderEvaluation:
    """Evaluate a folder of ``<video>/<slug>/{gt,predict}.txt``.

    Args:
        folder: The folder.
        rules: How its files are read; None for the defaults.
        engine: See :func:`evaluate_videos`, for the following arguments, too.
        processes: Number of processes.
        progress: Is told of every finished video.
        hints: Looks for what may make scores low.
        sequences: The sequences that count; None for all.

    Raises:
        InputError: The list names a sequence that is not there, the folder or a file is missing or malformed.
    """
    names: list[list[str]] = []

    def jobs() -> Iterator[Job]:
        for content in read_trackeval_folder(folder, rules, sequences):
            if hints is not None:
                hints.look(content.video, content.job.truth, content.job.tracks)
            names.append([f"{content.video}+{slug}" for slug in content.slugs])
            yield content.job

    parts = []
    for k, done in enumerate(statistics(jobs(), engine=engine, processes=processes)):
        parts.append(done)
        if progress:
            progress(f"evaluated video {names[k][0].rpartition('+')[0]}: {len(names[k])} expressions")
    return FolderEvaluation(tuple(name for part in names for name in part), Statistics.concatenate(parts))
