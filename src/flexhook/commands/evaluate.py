"""``flexhook evaluate``: a Hydra application."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hydra.utils
import numpy as np
from omegaconf import DictConfig, OmegaConf

from flexhook.commands.hydra_app import hydra_command
from flexhook.commands.predicted import find_predicted
from flexhook.commands.run_data import found_file, found_root, moved, require_root
from flexhook.configuration.trust import check_parts
from flexhook.datasets.cache import CachedReader
from flexhook.datasets.sequence_list import SequenceList, few, read_sequence_list
from flexhook.errors import ConfigError, InputError
from flexhook.evaluation.evaluator import by_tracks, evaluate_folder, evaluate_videos, referent_rows
from flexhook.evaluation.hints import Hints
from flexhook.evaluation.oracle import judged_rows
from flexhook.evaluation.selection import Selection
from flexhook.evaluation.statistics import METRICS
from flexhook.evaluation.trackeval_folder import FILES, Rules, find_sequences
from flexhook.evaluation.trackeval_writer import write_trackeval_folder
from flexhook.structures import Results, Video
from flexhook.structures.files import read_json, write_json
from flexhook.structures.result_folder import require_one_model
from flexhook.training.run_folder import note_remarks, read_config, remark_lines, remarks


def task(cfg: DictConfig) -> None:
    """Evaluate a results folder, a run or a folder of scores.

    Raises:
        InputError: The configuration contradicts itself, or files are missing or malformed.
    """
    given = [name for name in ("results", "run", "scores") if cfg[name] is not None]
    if len(given) != 1:
        raise ConfigError(
            f"{' and '.join(given) if given else 'none of results, run and scores'} given",
            expected="one of results=FOLDER, run=RUN_FOLDER and scores=FOLDER",
            hint="`flexhook evaluate --help` shows them all",
        )
    if given == ["results"]:
        _evaluate_results(cfg)
    else:
        _evaluate_scores(cfg)


def _evaluate_results(cfg: DictConfig) -> None:
    out = None if cfg.out is None else Path(str(cfg.out))
    if out is not None and out.is_dir():
        raise ConfigError("out is a folder", file=out, expected="the name of a JSON file")
    print(f"evaluating the sequences in {cfg.results} with the {cfg.engine} engine", flush=True)
    rules = Rules(cfg.first_frame, cfg.empty_boxes, cfg.unidentified, cfg.predictions_first_frame, cfg.missing)
    number = cfg.first_frame if cfg.predictions_first_frame is None else cfg.predictions_first_frame
    hints = Hints("predictions_first_frame", number)
    listed = None if cfg.protocol.sequences is None else read_sequence_list(str(cfg.protocol.sequences))
    evaluation = evaluate_folder(
        str(cfg.results), rules=rules, engine=cfg.engine, processes=cfg.processes, progress=_say, hints=hints, sequences=listed
    )
    summary = evaluation.summary()
    print(f"\n{len(summary['sequences'])} (video, expression) sequences")
    for name in METRICS:
        print(f"  {name:26}{100 * summary['pooled'][name]:8.2f}")
    print(f"  {'HOTA mean over expressions':26}{100 * summary['mean_over_expressions']['HOTA']:8.2f}")
    print(f"  {'expressions with HOTA 0':26}{summary['zero_HOTA_expressions']:8d}")
    _tell_folder(str(cfg.results), listed, rules)
    hints.say(_say)
    if out is not None:
        write_json(out, summary)
        print(f"\nthe scores lie in {out}")


def _tell_folder(folder: str, listed: SequenceList | None, rules: Rules) -> None:
    """Tell which sequences of a results folder a list leaves out, and which have no predictions."""
    found = find_sequences(folder, rules.missing)
    if listed is not None:
        left = [f"{v}+{p.name}" for v, places in found.items() for p in places if not listed.has(v, p.name)]
        _say(f"{listed.file} lists {len(listed)} sequences and leaves out {len(left)}" + (f": {few(left)}" if left else ""))
    absent = [f"{v}+{p.name}" for v, places in found.items() for p in places if not (p / FILES[1]).exists()
              and (listed is None or listed.has(v, p.name))]
    if absent:
        _say(f"{len(absent)} sequences without predictions count as empty: {few(absent)}")


def _evaluate_scores(cfg: DictConfig) -> None:
    scores, out, data, protocol = _places(cfg)
    predicted = None if cfg.run is None else find_predicted(Path(str(cfg.run)))
    if predicted is not None and cfg.videos is None:
        cfg.videos = [predicted.name]
    if cfg.run is not None and predicted is None:
        check_parts({"data": data}, ["data.reader"], Path(str(cfg.run)) / "config.yaml", cfg)
    reader = CachedReader(hydra.utils.instantiate(data.reader))
    names = _chosen(list(reader.video_names(cfg.split)), cfg.videos)
    end = ("" if cfg.split == "test" else f"_{cfg.split}") + ("" if cfg.videos is None else "_part")
    require_one_model(scores, names)
    metrics = out / f"metrics{end}.json"
    kept = _metrics_there(metrics)
    judge_last = bool(protocol.get("judge_last_observation", True))
    listed = _sequences(cfg, protocol)
    if predicted is not None and listed is None:
        listed = predicted.sequences()  # what was asked
    selection = Selection(reader, scores, names, listed, cfg.missing)
    hints = Hints("tracker.first_frame of `flexhook score`")
    print(f"evaluating {len(selection.names)} videos scored in {scores} with the {cfg.engine} engine", flush=True)
    evaluation = evaluate_videos(
        _videos(selection, cfg.trackeval, judge_last),
        judge_last_observation=judge_last,
        engine=cfg.engine,
        processes=cfg.processes,
        progress=_say,
        hints=hints,
    )
    print("\n".join(["", str(evaluation), *remark_lines(protocol), ""]))
    selection.say(_say)
    hints.say(_say)
    evaluation.write_expressions_csv(out / f"expressions{end}.csv")
    evaluation.save(out / f"sequences{end}.npz")
    write_json(metrics, {**kept, **evaluation.metrics(cfg.split)})
    if not end:
        note_remarks(out, remarks(protocol))
    if cfg.trackeval is not None:
        print(f"the sequences lie in {cfg.trackeval} in TrackEval's layout")
    print(f"metrics{end}.json, expressions{end}.csv and sequences{end}.npz lie in {out}")


def _chosen(names: list[str], wanted: Any) -> list[str]:
    """The videos of the split that are asked for."""
    if wanted is None:
        return names
    wanted = [wanted] if isinstance(wanted, str) else wanted
    unknown = [name for name in wanted if name not in names] if hasattr(wanted, "__iter__") else [wanted]
    if unknown:
        raise ConfigError(
            f"the split has no video {unknown[0]!r}",
            expected=f"videos=[...] of {', '.join(names)}",
            hint="Numbers need quotes: \"videos=['0005']\"",
        )
    return list(wanted)


def _places(cfg: DictConfig) -> tuple[Path, Path, DictConfig, Mapping[str, Any]]:
    """Folder of scores, folder of the output, configuration of the data and of the protocol."""
    mine = cfg.get("data") or OmegaConf.create()
    protocol: dict[str, Any] = _judging(cfg.get("protocol"))
    predicted = None if cfg.run is None else find_predicted(Path(str(cfg.run)))
    if predicted is not None:
        scores, out, data = predicted.folder / "scores", predicted.folder, mine
    elif cfg.run is not None:
        run = Path(str(cfg.run))
        held: Any = OmegaConf.to_container(read_config(run))
        theirs = held.get("data") or {}
        there = None if OmegaConf.is_missing(mine, "root") else mine.get("root")
        theirs = moved(theirs, there or found_root(theirs.get("root"), run))
        require_root(theirs, run, "data.root=FOLDER")
        data = OmegaConf.merge(theirs, mine)
        trained = dict(held.get("protocol") or {})
        if trained.get("sequences") is not None:
            trained["sequences"] = found_file(trained["sequences"], run)
        if "name" in protocol and trained.get("name") not in (None, protocol["name"]):
            protocol["name"] = f"{trained['name']}, judged as {protocol['name']}"
        protocol = {**trained, **protocol}
        scores, out = run / "scores", run
    else:
        scores, data = Path(str(cfg.scores)), mine
        in_run = (scores.absolute().parent / "config.yaml").is_file()
        out = scores.absolute().parent if in_run else scores
    if not scores.is_dir():
        raise InputError(
            "there is no folder of scores",
            file=scores,
            expected="scores/<video>.npz and expressions.json",
            hint="`flexhook score` writes them",
        )
    if "reader" in data and OmegaConf.is_missing(data, "root"):
        raise ConfigError("the dataset's folder is not named", expected="data.root=FOLDER")
    if "reader" not in data:
        raise ConfigError(
            "the dataset is not named",
            expected="data=NAME data.root=FOLDER beside scores=FOLDER, or a run whose config.yaml has data.reader",
        )
    if cfg.out is not None:
        out = Path(str(cfg.out))
    return scores, out, data, protocol


def _judging(protocol: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a protocol says of evaluation: how the model was trained and validated is the run's."""
    said = {} if protocol is None else protocol
    keys = ("name", "judge_last_observation", "sequences")
    return {key: said[key] for key in keys if key in said and (key != "sequences" or said[key] is not None)}


def _sequences(cfg: DictConfig, protocol: Mapping[str, Any]) -> SequenceList | None:
    """The list of the test sequences that count; of other splits, and of chosen videos, none but a given one."""
    if cfg.split != "test":
        if cfg.protocol.sequences is not None:
            raise ConfigError(f"protocol.sequences is given with split={cfg.split}", expected="split=test, which it lists")
        return None
    listed = None if protocol.get("sequences") is None else read_sequence_list(str(protocol["sequences"]))
    return listed if listed is None or cfg.videos is None else listed.of_videos(_as_list(cfg.videos))


def _as_list(videos: Any) -> list[str]:
    return [videos] if isinstance(videos, str) else list(videos)


def _videos(selection: Selection, trackeval: str | None, judge_last: bool) -> Iterator[tuple[Video, Results]]:
    for video, results in selection:
        name = video.name
        yield video, results
        for items in () if trackeval is None else by_tracks(results):
            tracks, slugs = items[0].tracks, tuple(item.expression.slug for item in items)
            judged = judged_rows(tracks, judge_last)
            accepted = [np.flatnonzero(item.accepted & judged) for item in items]
            write_trackeval_folder(str(trackeval), name, video.truth, tracks, slugs, referent_rows(video, slugs), accepted)


def _metrics_there(path: Path) -> dict[str, Any]:
    """Metrics that other commands wrote into the file; none where there is no such file."""
    if not path.exists():
        return {}
    return read_json(path, expected="a JSON object of metrics", hint="Remove it and evaluate again")


def _say(text: str) -> None:
    print(text, flush=True)


run = hydra_command("evaluate", task)
