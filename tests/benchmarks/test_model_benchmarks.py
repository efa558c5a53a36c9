"""The benchmarks of the model run at toy size, agree with their baseline and say what they measured."""

import re

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

import flexhook.configuration.resolvers  # noqa: F401
from flexhook.benchmarks import stream_speed
from flexhook.benchmarks.made_up import made_up_video
from flexhook.benchmarks.training_speed import COMMANDS
from flexhook.commands.bench import run
from flexhook.configuration.resolvers import config_folder
from flexhook.errors import InputError


def test_made_up_content_is_like_real_content():
    video = made_up_video(frames=3, tracks=8, expressions=465)
    assert (len(video.truth), len(video.expressions), video.num_frames) == (24, 465, 3)
    assert len({e.sentence for e in video.expressions}) == len({e.slug for e in video.expressions}) == 465
    assert 5 < np.mean([len(e.sentence.split()) for e in video.expressions]) < 7
    assert 0.1 < video.labels.sum() / np.prod(video.labels.shape) < 0.4
    assert np.array_equal(video.truth.box, made_up_video(3, 8, 465).truth.box)


def test_scoring_benchmark_agrees_with_the_one_window_path(capsys):
    sizes = ["--frames", "3", "--tracks", "2", "--expressions", "16", "--part", "2"]
    assert run(["scoring", "--toy", *sizes, "--accelerator", "cpu"]) == 0
    out = capsys.readouterr().out
    assert float(re.search(r"2 windows x 8 expressions: (\S+)", out)[1]) < 1e-4
    assert "3 frames encoded once, 0 again" in out
    assert re.search(r"one more expression \(from 8 to 16\)", out)
    assert float(re.search(r"peak memory (\d+) MB", out)[1]) > 100


def test_stream_benchmark_prints_latencies_and_the_price_of_a_sentence(capsys):
    sizes = ["--frames", "3", "--tracks", "1", "3", "--sentences", "1", "12"]
    assert run(["stream", "--toy", *sizes, "--accelerator", "cpu", "--cpu-time"]) == 0
    out = capsys.readouterr().out
    rows = re.findall(r"^([13]) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", out, re.M)
    assert [row[0] for row in rows] == ["1", "3"]
    for _, *times in rows:
        assert all(0 < float(p50) <= float(p95) for p50, p95 in zip(times[::2], times[1::2], strict=True))
    assert float(re.search(r"7 tracks x 20 sentences: ([\d.]+) frames per second", out)[1]) > 0
    parts = dict(re.findall(r"(encode|sample|look|judge|other) ([\d.]+) ms", out))
    assert len(parts) == 5
    assert all(float(ms) > 0 for ms in parts.values())
    assert re.search(r"one more sentence: [\d.]+ ms once, [\d.]+ of a frame's time", out)


def test_stream_benchmark_fails_where_the_target_is_missed(monkeypatch):
    monkeypatch.setattr(stream_speed, "EMBEDDED", stream_speed.TOY)
    short = ["stream", "--frames", "2", "--tracks", "1", "--sentences", "1"]
    for rate, added, status in ((0.001, 0.0, 0), (1e9, 0.0, 1), (0.001, 1e9, 1)):
        monkeypatch.setattr(stream_speed, "FRAMES_PER_SECOND", rate)
        monkeypatch.setattr(stream_speed, "cost_of_adding", lambda *arguments, added=added: added)
        assert run(short) == status


def test_training_benchmark_compares_the_three_kinds_of_items(capsys):
    assert run(["training", "--toy", "--steps", "1", "--tracks", "4", "--expressions", "60", "--workers", "0"]) == 0
    out = capsys.readouterr().out
    rows = re.findall(r"^(one-window items|clips|clips, shared order) +([\d.]+) .* ([\d.]+)% +([\d.]+)% ", out, re.M)
    assert [name for name, *_ in rows] == ["one-window items", "clips", "clips, shared order"]
    assert all(float(rate) > 0 for _, rate, *_ in rows)
    for _, _, cached, uncached in rows:  # without workers every picture is waited for
        assert 0 < float(cached) < float(uncached) < 100
    assert "from the cache" in out
    assert "PROJECTION" not in out  # only of the real model


@pytest.mark.parametrize("name", ["one-window items", "clips", "clips, shared order"])
def test_the_projected_commands_train_as_measured(name):
    overrides = COMMANDS[name].split()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train", ["experiment=refer_kitti_v2", "name=x", "run_dir=/x", *overrides])
    kind = "WindowItems" if name == "one-window items" else "ClipItems"
    assert cfg.sampling["items"]._target_ == f"flexhook.sampling.items.{kind}"
    assert cfg.sampling.get("shared_order", False) == ("shared" in name)
    assert (cfg.sampling.expressions, cfg.sampling.positives) == (36, 24)
    assert cfg.sampling.batch_size == (7 if name == "one-window items" else 1)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["speed"], "no benchmark 'speed'"),
        (["scoring", "--expressions", "1"], "too small"),
        (["training", "--steps", "0"], "too small"),
        (["training", "--toy", "--expressions", "5000"], "5000 different sentences are asked for. Expected at most"),
        (["scoring", "--toy", "--expressions", "99999"], "99999 different sentences"),
        (["scoring", "--compare-precision"], "no model"),
        (["stream", "--tracks", "0"], "too small"),
    ],
)
def test_mistakes_are_refused(argv, message):
    with pytest.raises(InputError, match=message):
        run(argv)
