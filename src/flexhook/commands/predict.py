"""``flexhook predict``: a Hydra application."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from flexhook.commands.hydra_app import hydra_command
from flexhook.configuration.check_config import check_config
from flexhook.datasets.mot import write_mot
from flexhook.errors import ConfigError, InputError
from flexhook.structures import Expression, TrackSet, Video, make_labels
from flexhook.structures.slugs import unique_slugs
from flexhook.trackers.build import build_tracker
from flexhook.trackers.mot_files import TrackerFiles


def task(cfg: DictConfig) -> None:
    """Write one MOT file and one overlay video per sentence.

    Raises:
        InputError: Video, tracks, sentences or checkpoint are missing or malformed.
    """
    check_config(cfg)
    from_file = HydraConfig.get().runtime.choices.get("tracker") == "file"
    given = not from_file or cfg.tracker.root is not None  # a method that finds its objects itself needs none
    for key in ("video", "ckpt", *(["tracks"] if given and from_file else [])):
        named = cfg.tracker.root if key == "tracks" else cfg[key]
        if not str(named or "").strip():
            raise ConfigError(f"{key} is empty", expected=f"{key}=PATH")
    tracker = build_tracker(cfg) if given else None
    if given and not isinstance(tracker, TrackerFiles):
        raise ConfigError("the tracker makes tracks of ground truth, and the video has none", expected="tracks=FILE",
                          hint="Or set tracker=per_video tracker.root=FOLDER")
    video = open_video(cfg)
    tracks, first_frame = None, cfg.first_frame
    if isinstance(tracker, TrackerFiles):
        tracks, first_frame = tracker.track(video), tracker.first_frame
        check_tracks(tracks, video, str(tracker.files(video.name)[0]))

    from flexhook.configuration.trust import check_parts
    from flexhook.inference.score import best_device, predict_block
    from flexhook.inference.scoring_options import scoring_options
    from flexhook.structures.result_files import read_results
    from flexhook.structures.result_folder import merge_expressions
    from flexhook.trackers.given import GivenTracks
    from flexhook.training.build import (
        DATA_PARTS,
        build_reader,
        build_trained,
        forget_generator,
        require_data,
        trained_config,
    )
    from flexhook.training.checkpoints import read_checkpoint
    from flexhook.visualization.outcomes import ScoredExpression
    from flexhook.visualization.overlay import write_overlay

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
    device, out = best_device(cfg.accelerator), Path(cfg.out)
    if method.needs_tracks:
        if tracks is None:
            raise ConfigError(f"the method {method.name} scores tracks, and none are given", expected="tracks=FILE")
        method.tracker = GivenTracks(tracks)
    method.prepare_inference(trained, device, build_reader(trained) if calibrated else None)
    seen = f"{len(tracks)} boxes of {len(tracks.tracks())} tracks in " if tracks is not None and method.needs_tracks else ""
    print(f"scoring {seen}{video.num_frames} frames against {len(video.expressions)} sentences on {device}", flush=True)
    predict_block(method, video, out / "scores")
    merge_expressions(out / "scores", {video.name: video.expressions})
    results = read_results(out / "scores", video.name)
    for result in results:
        expression, chosen = result.expression, result.tracks.select(result.accepted)
        path = out / f"{expression.slug}.txt"
        write_mot(path, chosen, first_frame=first_frame)
        print(f"“{expression.sentence}”: {len(chosen.tracks())} tracks, {len(chosen)} boxes -> {path}", flush=True)
        if cfg.overlay:
            picture = out / f"{expression.slug}.mp4"
            write_overlay(picture, ScoredExpression.of(video, result), frame_rate=cfg.frame_rate)
            print(f"  overlay -> {picture}", flush=True)
    print(f"the results lie in {out}")


def open_video(cfg: DictConfig) -> Video:
    """The video with the given sentences and without truth."""
    from flexhook.media.video_files import open_frames

    frames = open_frames(cfg.video)
    height, width = cfg.frame_size or frames.read(0).shape[:2]
    sentences = check_sentences(cfg.sentences)
    expressions = [Expression(sentence, name) for sentence, name in zip(sentences, unique_slugs(sentences), strict=True)]
    return Video(Path(cfg.video).stem, (int(height), int(width)), frames, TrackSet.empty(), tuple(expressions),
                 make_labels([], [], (0, len(expressions))))


def check_sentences(sentences: Sequence[str] | str) -> list[str]:
    """The sentences as a list of texts, each once.

    Raises:
        ConfigError: None, or an empty one.
    """
    listed = [sentences] if isinstance(sentences, str) else list(sentences)
    if not listed or any(not isinstance(s, str) or not s.strip() for s in listed):
        raise ConfigError(f"sentences is {listed!r}", expected="a list of sentences, none empty",
                          hint="""Write 'sentences=["cars turning left"]'""")
    return list(dict.fromkeys(s.strip() for s in listed))


def check_tracks(tracks: TrackSet, video: Video, file: str) -> None:
    """Refuse tracks that cannot be this video's; warn where there are none.

    Raises:
        InputError: Most boxes lie outside of the frame.
    """
    if not len(tracks):
        print(f"warning: {file} has no tracks, and the results will be empty", flush=True)
    height, width = video.size
    if len(tracks):
        outside = (tracks.box[:, 0] >= width) | (tracks.box[:, 1] >= height) | (tracks.box[:, 2:] <= 0).any(1)
        if outside.mean() > 0.5:
            raise InputError(f"{outside.sum()} of {len(tracks)} boxes lie outside of the {width}x{height} frame",
                             file=file, expected="pixels of the original frame",
                             hint="Set frame_size=[height,width] of the frames that the tracks refer to")


run = hydra_command("predict", task)
