"""Run folders as training leaves them, with scores made up from a skill between 0 and 1."""

import json

import numpy as np
import yaml

from flexhook.evaluation.evaluation import Evaluation, SequenceInfo
from flexhook.evaluation.statistics import ALPHAS, Statistics

SENTENCES = (
    "red cars on the left", "red cars on the right", "cars in red to the left", "black vans moving in the same direction",
    "parked cars", "people walking", "women standing", "white cars turning left", "approaching trucks",
    "cars ahead of us", "silver cars", "men on the right",
)  # fmt: skip
VERSIONS = {"flexhook": "0.1.0", "torch": "2.0"}
COSTS = {"parameters": 3.5e7, "trained_parameters": 1.1e7, "seconds_per_epoch": 12.0, "peak_memory_MB": 900.0}


def fake_statistics(skill, rng, count):
    """Statistics of ``count`` sequences whose HOTA rises with ``skill``."""
    truth = rng.integers(40, 80, count).astype(float)
    recall = np.clip(skill + rng.normal(0, 0.08, count), 0.02, 1)
    fall = 1 / (1 + np.exp(12 * (ALPHAS - 0.85)))
    matches = np.round(truth[:, None] * recall[:, None] * fall)
    return Statistics(
        matches=matches,
        overlap=matches * 0.9,
        association=matches * (0.3 + 0.6 * skill),
        association_recall=matches * 0.7,
        association_precision=matches * 0.8,
        truth=truth,
        predicted=np.round(truth * (1.6 - 0.6 * skill)),
        clear_matches=matches[:, 9],
        switches=np.ones(count),
        identity_matches=matches[:, 9] * 0.8,
    )


def fake_evaluation(skill, seed=0, sentences=SENTENCES, videos=("0016", "0017")):
    """An evaluation of every sentence in every video; hard sentences are hard for every skill and seed."""
    infos = tuple(
        SequenceInfo(video, s.replace(" ", "-"), s, ("unseen_paraphrase",) if k % 4 == 2 else (), 1 + k % 3)
        for video in videos for k, s in enumerate(sentences)
    )  # fmt: skip
    parts = [fake_statistics(level, np.random.default_rng([seed * level_seeds, 7]), len(infos))
             for level, level_seeds in ((skill, 1), (0.9, 0), (0.2, 0))]
    labels = np.random.default_rng(seed).integers(1, 40, (len(infos), 3))
    return Evaluation(infos, *parts, labels)


def make_run(folder, skill, seed=0, dataset="synthetic", commit="a" * 40, data="d1", versions=VERSIONS, costs=COSTS,
             speed=10.0, config=None, evaluation=None, protocol="default",
             code=None):
    """Write a finished run."""
    folder.mkdir(parents=True)
    evaluation = evaluation or fake_evaluation(skill, seed)
    content = {"seed": seed, "run_dir": str(folder), "data": {"name": dataset}, **(config or {})}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    meta = {"versions": versions, "seed": seed, "commit": commit, "code": code or {},
            "data": {"name": dataset, "fingerprint": data}, "protocol": protocol,
            "hardware": {"cpu": "a processor", "cores": 2, "gpus": []},
            "costs": {**costs, "scored_frames_per_second": speed}}
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "metrics.json").write_text(json.dumps({"val/F1": 100 * skill, **evaluation.metrics()}))
    evaluation.save(folder / "sequences.npz")
    evaluation.write_expressions_csv(folder / "expressions.csv")
    return folder
