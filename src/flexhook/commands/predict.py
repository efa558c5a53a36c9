"""``flexhook predict``: a Hydra application."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from flexhook.commands.hydra_app import hydra_command
from flexhook.commands.predicted import OUT, write_source
from flexhook.commands.untrained import build_untrained, names_method, untrained_config
from flexhook.configuration.check_config import check_config
from flexhook.datasets.box_units import warn_of_units
from flexhook.datasets.text_files import read_text
from flexhook.errors import ConfigError, InputError
from flexhook.media.cameras import is_live
from flexhook.media.sources import video_sources
from flexhook.structures import TrackSet, Video
from flexhook.structures.files import atomic_write
from flexhook.structures.slugs import slug
from flexhook.trackers.from_config import build_tracker
from flexhook.trackers.mot_files import TrackerFiles
from flexhook.training.checkpoint_file import checkpoint_file

if TYPE_CHECKING:
    from flexhook.api import Model, Prediction
    from flexhook.inference.decisions import Decision
    from flexhook.structures.protocols import Tracker


VIDEO = ".video"  #: In a folder of results: the video that they are of.


def task(cfg: DictConfig) -> None:
    """Write a MOT file, a CSV file and an overlay video per sentence.

    Raises:
        InputError: Video, tracks, sentences or checkpoint are missing or malformed.
    """
    from flexhook.inference.decisions import Decision

    check_config(cfg)
    decision = Decision(cfg.threshold, cfg.vote, cfg.top_k)
    untrained = names_method(cfg)
    for key in ("video", *([] if untrained else ["ckpt"])):
        if not str(cfg[key] if cfg[key] is not None else "").strip():
            raise ConfigError(f"{key} is empty", expected=f"{key}=PATH")
    if not untrained:
        cfg.ckpt = str(checkpoint_file(cfg.ckpt))  # before torch is imported
    sentences = given_sentences(cfg)
    if is_live(cfg.video):
        from flexhook.commands.predict_live import predict_live

        predict_live(cfg, lambda: load_model(cfg, sentences), sentences, decision)
        return
    if cfg.show or cfg.frames is not None:
        raise ConfigError("show and frames are for cameras and streams", expected="neither, with a file or folder",
                          hint="The overlay video shows the results")
    files = given_tracks(cfg)
    sources = video_sources(cfg.video)
    if len(sources) > 1 and isinstance(files, TrackerFiles) and files.layout == "single":
        raise ConfigError(f"{len(sources)} videos and one file of tracks are given", expected="a file per video",
                          hint="Set tracker=per_video tracker.root=FOLDER of <video>.txt, or leave tracks out")
    if cfg.out is not None and len(sources) == 1 and HydraConfig.get().mode != RunMode.MULTIRUN:
        folders = [own_folder(Path(cfg.out), sources[0])]
    else:
        base = Path(cfg.out or OUT)
        folders = [output_folder(base, source, multirun_overrides()) for source in sources]
    videos = [(open_video(cfg, source, sentences), folder) for source, folder in zip(sources, folders, strict=True)]
    for video, folder in videos:
        require_other_files(cfg, folder, video)
    known = [read_given(files, video) if files is not None else None for video, _ in videos]
    model = load_model(cfg, sentences)
    if files is not None and not model.method.needs_tracks:
        print(f"warning: the method {model.method.name} finds its objects itself, and the tracks are not used", flush=True)
    tracker = None if not model.method.needs_tracks or files is not None else build_tracker(cfg)
    for source, (video, folder), tracks in zip(sources, videos, known, strict=True):
        write_source(folder, source, video)
        if not (folder / VIDEO).exists():
            with atomic_write(folder / VIDEO) as temporary:
                temporary.write_text(str(source.expanduser().absolute()), encoding="utf-8")
        if len(videos) > 1:
            print(f"{video.name}:", flush=True)
        predict_video(cfg, model, decision, video, folder, tracks, tracker)


def given_tracks(cfg: DictConfig) -> Tracker | None:
    """The tracker of the configuration where it knows the tracks, which are read before any model; None for a first stage.

    Raises:
        ConfigError: It needs the truth.
    """
    choice = HydraConfig.get().runtime.choices.get("tracker")
    if choice == "detect" or (choice == "file" and cfg.tracker.root is None and cfg.get("method")):
        return None
    if choice == "file" and not str(cfg.tracker.root or "").strip():
        raise ConfigError("tracks is empty", expected="tracks=PATH", hint="Leave tracks out, and a detector finds the objects")
    tracker = build_tracker(cfg)
    if tracker.needs_truth:
        raise ConfigError("the tracker makes tracks of ground truth, and the video has none", expected="tracks=FILE",
                          hint="Or set tracker=detect, or tracker=per_video tracker.root=FOLDER")
    return tracker


def read_given(tracker: Tracker, video: Video) -> TrackSet:
    """The tracks of a video from a tracker that knows them."""
    from flexhook.api.inputs import check_tracks

    tracks = tracker.track(video)
    source = str(tracker.files(video.name)[0]) if isinstance(tracker, TrackerFiles) else type(tracker).__name__
    if len(tracks):
        warn_of_units(tracks, video.size, source, "frame_size")
        check_tracks(tracks, video, source)
    else:
        print(f"warning: {source} has no tracks, and the results will be empty", flush=True)
    return tracks


def load_model(cfg: DictConfig, sentences: Sequence[str]) -> Model:
    """The model of the checkpoint, with the options of scoring that the command gives, or a method that needs no checkpoint."""
    from flexhook.api.model import Model, unfamiliar
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
    if cfg.get("method"):
        settings = untrained_config(cfg)
        print(f"loading the method {settings.method.get('name')}, without a checkpoint", flush=True)
        method = build_untrained(settings)
        method.prepare_inference(settings, device, None)
        return Model(method, str(settings.method.get("name")), device)
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
        require_data(trained, cfg.ckpt, "Give scoring.calibration=null")
    method = build_trained(checkpoint, cfg.ckpt, cfg)
    method.prepare_inference(trained, device, build_reader(trained) if calibrated else None)
    model = Model(method, Path(cfg.ckpt), device, checkpoint["flexhook"].get("words", []))
    for notice in unfamiliar(sentences, model.words):
        print(f"warning: {notice}", flush=True)
    return model


def predict_video(
    cfg: DictConfig, model: Model, decision: Decision, video: Video, out: Path, tracks: TrackSet | None, tracker: Tracker | None
) -> None:
    """Predict one video into a folder.

    Args:
        cfg: The command's configuration.
        model: The model.
        decision: How sentences are accepted.
        video: The video with its sentences.
        out: The folder.
        tracks: Its tracks, where they are given.
        tracker: Makes them otherwise; None for a method that finds its objects itself.
    """
    from flexhook.api.model import once_decoded
    from flexhook.api.results import read_prediction
    from flexhook.inference.prediction import predict_block
    from flexhook.media.frame_wrappers import watched
    from flexhook.structures.result_folder import merge_expressions
    from flexhook.trackers.given import GivenTracks

    method, seen, begin, found = model.method, "", time.perf_counter(), 0.0
    if method.needs_tracks:
        if tracks is None:
            assert tracker is not None
            video = once_decoded(video, method, tracker)
            tracks = track_first(tracker, video)
            found = time.perf_counter() - begin
            print(f"found {len(tracks)} boxes of {len(tracks.tracks())} tracks in {found:.1f} s:"
                  f" {video.num_frames / max(found, 1e-9):.1f} frames per second", flush=True)
        seen = f"{len(tracks)} boxes of {len(tracks.tracks())} tracks in "
        method.tracker = GivenTracks(tracks)
    sentences = len(video.expressions)
    print(f"scoring {seen}{video.num_frames} frames against {sentences} sentences on {model.device}", flush=True)
    begin = time.perf_counter()
    with tqdm(total=video.num_frames, unit="frame", desc=f"{video.name}: scoring", disable=None) as bar:
        report = predict_block(method, watched(video, bar.update), out / "scores")
    seconds = time.perf_counter() - begin
    merge_expressions(out / "scores", {video.name: video.expressions})
    write_results(cfg, read_prediction(out / "scores", video, decision, cfg.frame_rate), out)
    if report.frames:
        whole = f"; {report.frames / (seconds + found):.1f} with the first stage" if found else ""
        print(f"scored {report.frames} frames in {seconds:.1f} s: {report.frames / seconds:.1f} frames per second{whole}")
    print(f"the results lie in {out}")


def track_first(tracker: Tracker, video: Video) -> TrackSet:
    """The tracks that a first stage finds, with a progress bar."""
    from flexhook.commands.track import detect_frames
    from flexhook.trackers.detect import DetectingTracker

    if isinstance(tracker, DetectingTracker):
        return tracker.associate(video, detect_frames(tracker, video))
    return tracker.track(video)


def write_results(cfg: DictConfig, prediction: Prediction, out: Path) -> None:
    """Write the files of all sentences, and say what is in them."""
    frames = prediction.video.num_frames
    for result in prediction.values():
        asked_before = (out / f"{result.expression.slug}.csv").is_file()
        path, chosen = result.to_mot(out, cfg.first_frame), result.chosen
        result.to_csv(out)
        print(f"“{result.sentence}”: {len(chosen.tracks())} tracks, {len(chosen)} boxes -> {path}", flush=True)
        if not len(chosen) and len(result.tracks):
            closest = ", ".join(f"track {identity} ({mean:.2f})" for identity, mean in result.closest())
            print(f"  nothing is accepted; closest by mean probability: {closest}", flush=True)
        if cfg.overlay in (True, "each"):
            print(f"  overlay -> {result.render(out, frames=drawn(frames, result.expression.slug))}", flush=True)
        elif asked_before:  # the overlay of an earlier command shows other results
            (out / f"{result.expression.slug}.mp4").unlink(missing_ok=True)
    if cfg.overlay == "all":
        path = out / f"{slug(prediction.video.name)}.mp4"
        print(f"overlay -> {prediction.render(path, frames=drawn(frames, 'all sentences'))[0]}", flush=True)
    own = {result.expression.slug for result in prediction.values()}
    earlier = sorted(path.stem for path in out.glob("*.txt") if path.stem not in own)
    if earlier:
        print(f"{out} also holds results of {len(earlier)} earlier sentences, such as {earlier[0]}.txt")


def drawn(frames: int, name: str) -> Any:
    """The frames of an overlay, behind a progress bar."""
    return tqdm(range(frames), unit="frame", desc=f"{name}: drawing", disable=None)


def given_sentences(cfg: DictConfig) -> list[str]:
    """The sentences of the command, each once.

    Raises:
        InputError: One is none.
    """
    from flexhook.api.inputs import check_sentences

    once = {s.strip() if isinstance(s, str) else repr(s): s for s in read_sentences(cfg.sentences)}
    return check_sentences(list(once.values()))


def open_video(cfg: DictConfig, source: str | Path | None = None, sentences: Sequence[str] | None = None) -> Video:
    """The video with the given sentences, each once, and without truth.

    Args:
        cfg: The command's configuration.
        source: The video's file or folder; None is ``cfg.video``.
        sentences: What :func:`given_sentences` gave; None asks it.
    """
    from flexhook.api.inputs import open_video as open_source

    listed = given_sentences(cfg) if sentences is None else list(sentences)
    return open_source(cfg.video if source is None else source, listed, cfg.frame_size)


def multirun_overrides() -> str:
    """What tells the jobs of a multirun apart, beside the video; empty for a single command."""
    found = HydraConfig.get()
    if found.mode != RunMode.MULTIRUN:
        return ""
    return "\n".join(sorted(o for o in found.overrides.task if not o.startswith(("video=", "out=", "tracker=detect"))))


def own_folder(out: Path, source: Path) -> Path:
    """The folder that ``out=`` names for one video.

    Raises:
        ConfigError: It holds the results of another video.
    """
    name, note = str(source.expanduser().absolute()), out / VIDEO
    if note.is_file() and note.read_text(encoding="utf-8").partition("\n")[0] != name:
        raise ConfigError(f"the folder holds results of the video {note.read_text(encoding='utf-8').partition(chr(10))[0]}",
                          file=out, expected="a folder of its own for each video", hint="Set out=FOLDER, or leave it out")
    return out


def output_folder(base: Path, source: str | Path, overrides: str = "") -> Path:
    """A folder for one video below ``base``, with a number where names collide.

    Args:
        base: The folder.
        source: The video.
        overrides: What tells this job from others of a multirun.
    """
    path = Path(source).expanduser().absolute()
    name = "\n".join(part for part in (str(path), overrides) if part)
    stem = slug(path.stem)
    for k in count(1):
        note = base / (stem if k == 1 else f"{stem}-{k}") / VIDEO
        if not note.exists() or note.read_text(encoding="utf-8") == name:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(name, encoding="utf-8")
            return note.parent
    raise AssertionError


def require_other_files(cfg: DictConfig, out: Path, video: Video) -> None:
    """See that no result takes the place of an input.

    Raises:
        ConfigError: One would.
    """
    checkpoint = None if OmegaConf.is_missing(cfg, "ckpt") else cfg.ckpt
    inputs = [*video_sources(cfg.video), checkpoint, cfg.tracker.get("root") if cfg.get("tracker") else None]
    inputs += [cfg.sentences] if isinstance(cfg.sentences, str) else []
    taken = {Path(str(path)).expanduser().resolve() for path in inputs if path is not None}
    made = [out / f"{expression.slug}{suffix}" for expression in video.expressions for suffix in (".txt", ".csv", ".mp4")]
    made += [out / f"{slug(video.name)}.mp4"] if cfg.overlay == "all" else []
    lost = [path for path in made if path.resolve() in taken]
    if lost:
        raise ConfigError("a result would take the place of an input", file=lost[0], expected="another folder",
                          hint="Set out=FOLDER")


def read_sentences(sentences: Sequence[str] | str) -> list[str]:
    """The sentences of the command line; the name of a file stands for its lines.

    Raises:
        InputError: The file is missing or has none.
    """
    if not isinstance(sentences, str):
        return list(sentences)
    if not sentences.endswith(".txt") and not Path(sentences).expanduser().is_file():
        return [sentences]
    found = [line for line in (read_text(sentences) or "").splitlines() if line.strip()]
    if not found:
        raise InputError("the file of sentences has none", file=sentences, expected="a sentence per line")
    return found


_hydra = hydra_command("predict", task)


def run(argv: list[str]) -> int:
    """Run the command; without ``tracks=`` and ``tracker=`` a detector finds the objects of a method that scores tracks."""
    given = [arg.partition("=")[0] for arg in argv if arg.startswith(("tracks=", "tracker=", "method="))]
    if given and given[0] != "tracker" and any(arg.startswith(("detector=", "detector.")) for arg in argv):
        raise ConfigError(f"{given[0]} and detector are both given", expected="one of them",
                          hint="A detector makes tracks for methods that score tracks; with tracks there is nothing to detect")
    return _hydra(argv if given else [*argv, "tracker=detect"])
