"""``flexhook predict``: a Hydra application."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from flexhook.commands.hydra_app import hydra_command
from flexhook.commands.untrained import build_untrained, names_method, untrained_config
from flexhook.configuration.check_config import check_config
from flexhook.datasets.box_units import warn_of_units
from flexhook.datasets.text_files import read_text
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Video
from flexhook.structures.slugs import slug
from flexhook.trackers.from_config import build_tracker
from flexhook.trackers.mot_files import TrackerFiles
from flexhook.training.checkpoint_file import require_checkpoint_file

if TYPE_CHECKING:
    import torch

    from flexhook.datasets.reader import Reader
    from flexhook.structures.method import Method

VIDEO = ".video"  #: In a folder of a multirun: the video that its results are of.


def task(cfg: DictConfig) -> None:
    """Write a MOT file, a CSV file and an overlay video per sentence.

    Raises:
        InputError: Video, tracks, sentences or checkpoint are missing or malformed.
    """
    from flexhook.api.inputs import check_tracks
    from flexhook.inference.decisions import Decision

    check_config(cfg)
    decision = Decision(cfg.threshold, cfg.vote, cfg.top_k)
    from_file = HydraConfig.get().runtime.choices.get("tracker") == "file"
    given = not from_file or cfg.tracker.root is not None  # a method that finds its objects itself needs none
    untrained = names_method(cfg)
    for key in ("video", *([] if untrained else ["ckpt"]), *(["tracks"] if given and from_file else [])):
        named = cfg.tracker.root if key == "tracks" else cfg[key]
        if not str(named or "").strip():
            raise ConfigError(f"{key} is empty", expected=f"{key}=PATH")
    if not untrained:
        require_checkpoint_file(cfg.ckpt)  # before torch is imported
    tracker = build_tracker(cfg) if given else None
    if tracker is not None and tracker.needs_truth:
        raise ConfigError("the tracker makes tracks of ground truth, and the video has none", expected="tracks=FILE",
                          hint="Or set tracker=detect, or tracker=per_video tracker.root=FOLDER")
    video = open_video(cfg)
    out = output_folder(cfg, HydraConfig.get().mode == RunMode.MULTIRUN)
    require_other_files(cfg, out, video)
    tracks = None
    if tracker is not None:
        tracks = tracker.track(video)
        source = str(tracker.files(video.name)[0]) if isinstance(tracker, TrackerFiles) else type(tracker).__name__
        if len(tracks):
            warn_of_units(tracks, video.size, source, "frame_size")
            check_tracks(tracks, video, source)
        else:
            print(f"warning: {source} has no tracks, and the results will be empty", flush=True)

    from flexhook.api.results import SentenceResult
    from flexhook.inference.prediction import predict_block
    from flexhook.structures.result_files import read_results
    from flexhook.structures.result_folder import merge_expressions
    from flexhook.trackers.given import GivenTracks

    method, settings, reader, device = ready_method(cfg, untrained)
    if method.needs_tracks:
        if tracks is None:
            raise ConfigError(f"the method {method.name} scores tracks, and none are given", expected="tracks=FILE",
                              hint="Or let a detector find them: tracker=detect detector=transformers")
        method.tracker = GivenTracks(tracks)
    method.prepare_inference(settings, device, reader)
    seen = f"{len(tracks)} boxes of {len(tracks.tracks())} tracks in " if tracks is not None and method.needs_tracks else ""
    print(f"scoring {seen}{video.num_frames} frames against {len(video.expressions)} sentences on {device}", flush=True)
    begin = time.perf_counter()
    report = predict_block(method, video, out / "scores")
    seconds = time.perf_counter() - begin
    merge_expressions(out / "scores", {video.name: video.expressions})
    results = read_results(out / "scores", video.name)
    rate = cfg.frame_rate or getattr(video.frames, "frame_rate", None)
    for found in results:
        result = SentenceResult(found.expression, found.tracks, found.score, decision.accepted(found), video, rate)
        path, chosen = result.to_mot(out, cfg.first_frame), result.chosen
        result.to_csv(out)
        print(f"“{result.sentence}”: {len(chosen.tracks())} tracks, {len(chosen)} boxes -> {path}", flush=True)
        if not len(chosen) and len(result.tracks):
            closest = ", ".join(f"track {identity} ({mean:.2f})" for identity, mean in result.closest())
            print(f"  nothing is accepted; closest by mean probability: {closest}", flush=True)
        if cfg.overlay:
            print(f"  overlay -> {result.render(out)}", flush=True)
    own = {found.expression.slug for found in results}
    earlier = sorted(path.stem for path in out.glob("*.txt") if path.stem not in own)
    if earlier:
        print(f"{out} also holds results of {len(earlier)} earlier sentences, such as {earlier[0]}.txt")
    if report.frames:
        print(f"scored {report.frames} frames in {seconds:.1f} s: {report.frames / seconds:.1f} frames per second")
    print(f"the results lie in {out}")


def ready_method(cfg: DictConfig, untrained: bool) -> tuple[Method, DictConfig, Reader | None, torch.device]:
    """The method of a checkpoint, or one that needs none, with what it is prepared with.

    Args:
        cfg: The command's configuration.
        untrained: Whether it names a method in place of a checkpoint.

    Returns:
        The method, its configuration, the reader of its training videos where a calibration asks for them, and the device.
    """
    from flexhook.configuration.trust import check_parts
    from flexhook.inference.prediction import best_device
    from flexhook.inference.scoring_options import scoring_options
    from flexhook.training.build import (
        DATA_PARTS,
        build_reader,
        build_trained,
        forget_generator,
        require_data,
        trained_config,
    )
    from flexhook.training.checkpoints import read_checkpoint

    device = best_device(cfg.accelerator)
    if untrained:
        settings = untrained_config(cfg)
        print(f"loading the method {settings.method.get('name')}, without a checkpoint", flush=True)
        return build_untrained(settings), settings, None, device
    print(f"loading {cfg.ckpt}", flush=True)
    checkpoint = read_checkpoint(cfg.ckpt)
    trained = trained_config(checkpoint, cfg.ckpt)
    trained.scoring = scoring_options(cfg.scoring, trained)
    if OmegaConf.is_missing(cfg.scoring, "calibration") and trained.scoring.get("calibration"):
        trained.scoring.calibration = None
        print("without the calibration that the model was scored with: it counts the training sentences, which predict does "
              "without (scoring=calibrated reads them)", flush=True)
    calibrated = bool(trained.scoring.get("calibration"))
    if calibrated:
        forget_generator(trained)
        check_parts(trained, [*DATA_PARTS, "scoring.calibration"], cfg.ckpt, cfg)
        require_data(trained, cfg.ckpt)
    method = build_trained(checkpoint, cfg.ckpt, cfg)
    return method, trained, build_reader(trained) if calibrated else None, device


def open_video(cfg: DictConfig) -> Video:
    """The video with the given sentences, each once, and without truth."""
    from flexhook.api.inputs import check_sentences
    from flexhook.api.inputs import open_video as open_source

    listed = read_sentences(cfg.sentences)
    once = {s.strip() if isinstance(s, str) else repr(s): s for s in listed}
    return open_source(cfg.video, check_sentences(list(once.values())), cfg.frame_size)


def output_folder(cfg: DictConfig, multirun: bool) -> Path:
    """The folder of the results; in a multirun, one below it for each video, with a number where names collide."""
    out = Path(cfg.out)
    if not multirun:
        return out
    source = str(Path(str(cfg.video)).absolute())
    stem = slug(Path(source).stem)
    for k in count(1):
        note = out / (stem if k == 1 else f"{stem}-{k}") / VIDEO
        if not note.exists() or note.read_text(encoding="utf-8") == source:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(source, encoding="utf-8")
            return note.parent
    raise AssertionError


def require_other_files(cfg: DictConfig, out: Path, video: Video) -> None:
    """See that no result takes the place of an input.

    Raises:
        ConfigError: One would.
    """
    checkpoint = None if OmegaConf.is_missing(cfg, "ckpt") else cfg.ckpt
    inputs = [cfg.video, checkpoint, cfg.tracker.get("root") if cfg.get("tracker") else None]
    inputs += [cfg.sentences] if isinstance(cfg.sentences, str) else []
    taken = {Path(str(path)).expanduser().resolve() for path in inputs if path is not None}
    made = [out / f"{expression.slug}{suffix}" for expression in video.expressions for suffix in (".txt", ".csv", ".mp4")]
    lost = [path for path in made if path.resolve() in taken]
    if lost:
        raise ConfigError("a result would take the place of an input", file=lost[0], expected="another folder",
                          hint="Set out=FOLDER")


def read_sentences(sentences: Sequence[str] | str) -> list[str]:
    """The sentences of the command line; a text that ends with ``.txt`` names a file, of a sentence per line.

    Raises:
        InputError: The file is missing or has none.
    """
    if not isinstance(sentences, str):
        return list(sentences)
    if not sentences.endswith(".txt"):
        return [sentences]
    found = [line for line in (read_text(sentences) or "").splitlines() if line.strip()]
    if not found:
        raise InputError("the file of sentences has none", file=sentences, expected="a sentence per line")
    return found


run = hydra_command("predict", task)
