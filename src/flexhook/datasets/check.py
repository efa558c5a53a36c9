"""The doctor for data: reads a dataset leniently and says everything that is wrong with it, and with tracker output for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flexhook.datasets.box_units import unit_findings
from flexhook.datasets.check_findings import Findings
from flexhook.datasets.dataset import Dataset
from flexhook.datasets.image_check import check_images
from flexhook.datasets.mixture import Mixture
from flexhook.datasets.problems import Report
from flexhook.datasets.sentence_check import check_sentences, least_tokens
from flexhook.datasets.shift import HARDLY, NOTHING, OFFSETS, Fit, referent_hits, track_fit
from flexhook.datasets.video_check import check_boxes, check_length, check_truth
from flexhook.errors import ConfigError, InputError
from flexhook.structures import TrackSet, Video
from flexhook.structures.protocols import Tracker


@dataclass(frozen=True)
class CheckedTracker:
    """A tracker as the check examines it.

    Attributes:
        track: Makes the tracks of a video, and reports what is wrong with them.
        place: Where a video's tracks are from, for messages.
        first_frame: First frame that is configured for the tracker's files; 0 where it has none.
    """

    track: Callable[[Video, Report], TrackSet]
    place: Callable[[str], str]
    first_frame: int = 0

    @classmethod
    def of(cls, tracker: Tracker) -> CheckedTracker:
        """Any tracker: what it raises is all that is wrong."""
        return cls(lambda video, report: tracker.track(video), lambda name: f"tracks of video {name}")


@dataclass
class CheckReport:
    """What a check has found.

    Attributes:
        findings: By kind.
        counts: Videos, frames, boxes, expressions and tracker boxes that were looked at.
        fit: How the tracker fits the truth at each shift, all videos together; None without tracker.
        fit_of_video: The same per video.
        first_frame: First frame that is configured for the tracker.
        referents: How many of the expressions' referents have a label at each shift.
    """

    findings: Findings = field(default_factory=Findings)
    counts: dict[str, int] = field(default_factory=dict)
    fit: Fit | None = None
    fit_of_video: dict[str, Fit] = field(default_factory=dict)
    first_frame: int = 0
    referents: dict[int, int] = field(default_factory=lambda: dict.fromkeys(OFFSETS, 0))

    @property
    def ok(self) -> bool:
        """Whether nothing was found that makes results wrong."""
        return not self.findings.count("error")

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        out: dict[str, Any] = {
            "ok": self.ok,
            "counts": self.counts,
            "problems": {severity: self.findings.count(severity) for severity in ("error", "warning", "note")},
            "findings": [finding.to_dict() for finding in self.findings],
            "referents_with_label_at_shift": {str(d): n for d, n in self.referents.items()},
        }
        if self.fit is not None:
            out["frame_shift"] = {
                "configured_first_frame": self.first_frame,
                "fits": self.fit.best,
                "mean_overlap": {str(d): v for d, v in self.fit.mean_overlap.items()},
                "lag": {str(d): None if np.isnan(v) else v for d, v in self.fit.lag.items()},
                "videos": {name: fit.best for name, fit in self.fit_of_video.items()},
            }
        return out

    def text(self) -> str:
        """The report to read."""
        lines = ["looked at " + ", ".join(f"{count:,} {what}" for what, count in self.counts.items())]
        if self.fit is not None:
            lag = ["  -" if np.isnan(v) else f"{v:+.2f}" for v in self.fit.lag.values()]
            lines += [
                "frame shift of the tracker        " + "".join(f"{d:>8}" for d in OFFSETS),
                "  mean overlap with the truth     " + "".join(f"{v:>8.3f}" for v in self.fit.mean_overlap.values()),
                "  frames ahead of the truth       " + "".join(f"{v:>8}" for v in lag),
                f"  {fitting(self.fit, self.first_frame)}",
            ]
        lines.append(self.findings.text() or "nothing to complain about")
        return "\n".join(lines)


def fitting(fit: Fit, first_frame: int) -> str:
    """A sentence that says which shift fits and which is configured."""
    if not fit.boxes:
        return f"shift 0 is configured (first frame {first_frame}); there is nothing to measure it by"
    if fit.best == 0:
        return f"shift 0 fits: the configured first frame, {first_frame}, is right"
    right = first_frame - fit.best
    return f"shift {fit.best:+d} fits, 0 is configured (first frame {first_frame}): the files start with frame {right}"


def check_dataset(
    reader: Dataset | Mixture,
    tracker: CheckedTracker | None = None,
    *,
    images: str = "decode",
    token_limit: int = 25,
    count_tokens: Callable[[str], int] = least_tokens,
    advance: Callable[[int], None] = lambda count: None,
) -> CheckReport:
    """Examine a dataset and, if given, tracker output for it.

    Args:
        reader: The dataset.
        tracker: The tracker.
        images: How closely to look at images (:func:`flexhook.datasets.image_check.check_images`).
        token_limit: Tokens that the text encoder takes.
        count_tokens: Number of tokens of a sentence; the default counts words and marks.
        advance: Called with the number of frames done since its last call.

    Returns:
        The report; problems of the data do not raise.
    """
    report = CheckReport(first_frame=0 if tracker is None else tracker.first_frame)
    report.counts = dict.fromkeys(("videos", "frames", "boxes", "expressions"), 0)
    if tracker is not None:
        report.counts["tracker boxes"] = 0
        report.fit = NOTHING
    _check_splits(reader, report.findings)
    for dataset in reader.datasets().values():
        dataset.check(report.findings)
    for name in _present(reader, report.findings):
        report.findings.video = name
        try:
            _check_video(reader, tracker, name, report, images, token_limit, count_tokens, advance)
        except (ConfigError, InputError) as error:
            report.findings("unreadable-video", error)
        report.findings.video = None
    _judge_shifts(report)
    return report


def _check_splits(reader: Dataset | Mixture, findings: Findings) -> None:
    of_video: dict[str, str] = {}
    for split, names in reader.splits.items():
        for name in names:
            other = of_video.setdefault(name, split)
            if other != split:
                problem = f"video {name} is in the splits {other} and {split}"
                hint = "Correct data.reader.splits"
                findings("split-overlap", InputError(problem, expected="splits that share no video", hint=hint))


def _present(reader: Dataset | Mixture, findings: Findings) -> list[str]:
    """Videos of which something is on disk; the others are reported."""
    wanted = list(dict.fromkeys(name for names in reader.splits.values() for name in names))
    found: list[str] = []
    missing: list[str] = []
    for name in wanted:
        try:
            there = reader.dataset(name).exists(name)
        except InputError:
            there = True
        (found if there else missing).append(name)
    if missing:
        dataset = reader.dataset(missing[0])
        demanded = not found or dataset.on_missing_video == "error"
        names = ", ".join(missing[:8]) + (" and more" if len(missing) > 8 else "")
        problem = f"{len(missing)} of {len(wanted)} configured videos are not on disk: {names}"
        hint = "Set data.root, or data.reader.splits to the videos you have; numbers are not those of the whole splits"
        error = InputError(problem, file=dataset.root, expected=dataset.looked_for(missing[0]), hint=hint)
        findings("missing-video" if demanded else "absent-video", error, len(missing))
    elif not wanted:
        findings("missing-video", InputError("no split names a video", hint="Set data.root, or data.reader.splits"))
    return found


def _check_video(
    reader: Dataset | Mixture,
    tracker: CheckedTracker | None,
    name: str,
    report: CheckReport,
    images: str,
    token_limit: int,
    count_tokens: Callable[[str], int],
    advance: Callable[[int], None],
) -> None:
    findings, dataset = report.findings, reader.dataset(name)
    video, annotations = dataset.read_annotated(name, findings)
    for shift, hits in referent_hits(video.truth, annotations).items():
        report.referents[shift] += hits
    check_length(dataset, video, findings)
    report.counts["videos"] += 1
    report.counts["frames"] += video.num_frames
    report.counts["boxes"] += len(video.truth)
    report.counts["expressions"] += len(video.expressions)
    check_truth(video, findings)
    used = np.asarray(video.labels.sum(axis=0)).reshape(-1)
    check_sentences(annotations, used, token_limit, count_tokens, findings)
    if video.frames.paths and dataset.images is not None:
        check_images(video.frames, video.size, images, findings, advance)
    if tracker is not None:
        tracks = tracker.track(video, findings)
        report.counts["tracker boxes"] += len(tracks)
        if not len(tracks):
            error = InputError(f"the tracker has no box in video {name}", file=tracker.place(name))
            findings("empty-tracker", error)
        check_boxes(tracks, video, tracker.place(name), findings)
        for found in unit_findings(tracks, video.size, video.truth):
            findings("box-units", InputError(found.problem, file=tracker.place(name), hint=found.hint))
        fit = report.fit_of_video[name] = track_fit(video.truth, tracks)
        report.fit = fit if report.fit is None else report.fit + fit


def _judge_shifts(report: CheckReport) -> None:
    findings = report.findings
    best = max(OFFSETS, key=lambda d: (report.referents[d], -abs(d)))
    if report.referents[best] > report.referents[0]:
        problem = (
            f"{report.referents[0]:,} referents of the expressions have a label, and {report.referents[best]:,} would if"
            f" the expressions' frames were shifted by {best:+d}"
        )
        hint = "Correct data.reader.expressions.first_frame or data.reader.truth.first_frame"
        findings("expression-shift", InputError(problem, expected="expressions and labels that agree", hint=hint))
    if report.fit is None:
        return
    shifted = {name: fit.best for name, fit in report.fit_of_video.items() if fit.best}
    hint = "Correct tracker.first_frame, or restore the files"
    if report.fit.best:
        findings(
            "frame-shift", InputError(f"tracker and truth are shifted: {fitting(report.fit, report.first_frame)}", hint=hint)
        )
    elif shifted:
        names = ", ".join(f"{name} ({shift:+d})" for name, shift in list(shifted.items())[:8])
        problem = f"in {len(shifted)} videos tracker and truth are shifted against each other: {names}"
        findings("frame-shift", InputError(problem, expected="shift 0 in every video", hint=hint), len(shifted))
    strange = {n: f.agreement for n, f in report.fit_of_video.items() if not f.says_nothing and f.agreement < HARDLY}
    if strange:
        names = ", ".join(f"{name} ({value:.2f})" for name, value in list(strange.items())[:8])
        problem = (
            f"in {len(strange)} of {len(report.fit_of_video)} videos tracker and truth hardly overlap at any shift: {names}"
        )
        hint = (
            "Check that it is output for these videos, with x, y, w, h in pixels of the original frame (tracker.size),"
            " and what x and y of the labels are (data.reader.truth.origin)"
        )
        findings("tracker-does-not-fit", InputError(problem, expected=f"at least {HARDLY}", hint=hint), len(strange))
