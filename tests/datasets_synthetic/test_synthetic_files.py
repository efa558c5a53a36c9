"""The dataset on disk: readable, whole, the same every time."""

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import OmegaConf

from flexhook.commands.data_synthesize import add_arguments, run
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import check_shape
from flexhook.synthetic import TrackerErrors, WorldConfig, ensure, generate, simulate_tracker, world_files
from flexhook.synthetic.world import simulate_world
from flexhook.trackers.mot_files import TrackerFiles


def contents(root):
    """Digest of every file by its path."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(tiny, tiny_root, tmp_path):
    generate(tmp_path / "again", tiny, workers=1)
    assert contents(tmp_path / "again") == contents(tiny_root)


def test_another_seed_gives_another_world(tiny, tiny_root, tmp_path):
    generate(tmp_path / "other", replace(tiny, seed=1), workers=1)
    mine, other = contents(tiny_root), contents(tmp_path / "other")
    images = [name for name in mine if name.endswith(".jpg")]
    assert len(images) == 4 * 16 and all(mine[name] != other[name] for name in images)


def test_the_reader_gives_back_what_was_simulated(tiny, tiny_reader):
    world = simulate_world(tiny, workers=1)
    assert list(world) == tiny_reader.video_names()
    for name, simulated in world.items():
        video = tiny_reader.read(name)
        wanted = simulated.as_video(video.frames)
        assert video.size == (375, 1242) and video.num_frames == 16
        for column in ("frame", "identity", "category"):
            assert np.array_equal(getattr(video.truth, column), getattr(wanted.truth, column))
        assert np.abs(video.truth.box - wanted.truth.box).max() < 0.002
        assert video.truth.categories == wanted.truth.categories
        order = sorted(range(len(wanted.expressions)), key=lambda k: wanted.expressions[k].slug)
        by_slug = sorted(range(len(video.expressions)), key=lambda k: video.expressions[k].slug)
        assert [video.expressions[k] for k in by_slug] == [wanted.expressions[k] for k in order]
        assert np.array_equal(video.labels.toarray()[:, by_slug], wanted.labels.toarray()[:, order])
        assert {tag for e in video.expressions for tag in e.tags} == (
            {"unseen_combination", "unseen_paraphrase"} if name in tiny.splits["test"] else set()
        )


def test_the_tracker_files_are_the_simulated_tracks(tiny, tiny_root, tiny_reader):
    files = TrackerFiles(tiny_root / "tracks" / "simulated", "per_class")
    for name in tiny_reader.video_names():
        video = tiny_reader.read(name)
        read, wanted = files.track(video), simulate_tracker(video, tiny.tracker, tiny.seed)
        assert len(read) == len(wanted) > 0
        assert by_place(read) == by_place(wanted)
        assert len(read.tracks()) == len(wanted.tracks())


def by_place(tracks):
    """Frame, class and centre in whole tens of pixels of every observation; identities are the file format's own."""
    centre = np.round((tracks.box[:, :2] + tracks.box[:, 2:]) / 2 / 10 + 1e-3).astype(int).tolist()
    return sorted(zip(tracks.frame.tolist(), (tracks.categories[c] for c in tracks.category), centre, strict=True))


def test_images_have_the_frame_s_aspect_ratio(tiny, tiny_reader):
    for config in (tiny, WorldConfig(), replace(tiny, image_height=160)):
        check_shape(config.image_size, config.size, "image")
    frame = tiny_reader.read("0000").frames.read(3)
    assert frame.shape == (96, 318, 3)


def test_the_manifest_says_how_it_was_made(tiny, tiny_root):
    manifest = json.loads((tiny_root / "synthetic.json").read_text())
    assert manifest["seed"] == 0 and manifest["splits"] == tiny.splits
    assert manifest["counts"]["frames"] == 64
    assert manifest["counts"]["expressions"]["0000"] == 24


def test_ensure_leaves_the_right_world_alone(tiny, tiny_root):
    before = {p: p.stat().st_mtime_ns for p in tiny_root.rglob("*")}
    ensure(tiny_root, tiny)
    assert {p: p.stat().st_mtime_ns for p in tiny_root.rglob("*")} == before


def test_ensure_makes_a_missing_world(tiny, tiny_root, tmp_path):
    (tmp_path / "empty").mkdir()
    ensure(tmp_path / "empty", tiny, workers=1)
    assert contents(tmp_path / "empty") == contents(tiny_root)


def test_ensure_refuses_a_world_of_another_configuration(tiny, tiny_root):
    with pytest.raises(InputError, match=r"seed = 0.*Expected seed = 3") as caught:
        ensure(tiny_root, replace(tiny, seed=3))
    assert caught.value.hint and str(tiny_root / "synthetic.json") in str(caught.value)


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"version": 1}', '{"version": 1, "config": 3}'])
def test_ensure_refuses_a_folder_of_something_else(tiny, tmp_path, manifest):
    (tmp_path / "notes.txt").write_text("mine")
    if manifest is not None:
        (tmp_path / "synthetic.json").write_text(manifest)
    with pytest.raises(InputError, match=r"no synthetic world|version"):
        ensure(tmp_path, tiny)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_ensure_refuses_an_older_version(tiny, tmp_path):
    (tmp_path / "synthetic.json").write_text(json.dumps({"version": 0, "config": {}}))
    with pytest.raises(InputError, match="version 0"):
        ensure(tmp_path, tiny)


def test_generate_does_not_write_into_a_full_folder_or_file(tiny, tmp_path):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="not empty"):
            generate(root, tiny)


def test_an_interrupted_generation_leaves_nothing(tiny, tmp_path, monkeypatch):
    write_expressions, calls = world_files._write_expressions, []

    def interrupted(folder, video):
        calls.append(video.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write_expressions(folder, video)

    monkeypatch.setattr(world_files, "_write_expressions", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "set", tiny, workers=1)
    assert len(calls) == 3 and not list(tmp_path.iterdir())


def test_the_command_makes_the_world_and_says_what_it_made(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = ["--out", str(tmp_path / "set"), "--seed", "4", "--train-videos", "1", "--val-videos", "1"]
    arguments += ["--test-videos", "1", "--frames", "8", "--expressions", "6", "--image-height", "64", "--workers", "1"]
    assert run(parser.parse_args(arguments)) == 0
    assert f"{tmp_path / 'set'}: 3 videos, 24 frames" in capsys.readouterr().out
    assert json.loads((tmp_path / "set" / "synthetic.json").read_text())["seed"] == 4


@pytest.mark.parametrize("name", ["synthetic", "synthetic_small", "synthetic_tiny"])
def test_the_configurations_agree_with_the_world(name, request):
    folder = request.config.rootpath / "conf" / "data"
    config = OmegaConf.load(folder / "synthetic.yaml")
    if name != "synthetic":
        config = OmegaConf.merge(config, OmegaConf.load(folder / f"{name}.yaml"))
    generator = OmegaConf.to_container(config.generator)
    assert generator.pop("_target_") == "flexhook.synthetic.WorldConfig"
    tracker = generator.pop("tracker")
    assert tracker.pop("_target_") == "flexhook.synthetic.TrackerErrors"
    world = WorldConfig(**generator, tracker=TrackerErrors(**tracker))
    assert OmegaConf.to_container(config.reader.splits) == world.splits
    assert tuple(config.reader.sizes.default) == world.size
    if name == "synthetic":
        assert world == WorldConfig()


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 3},
        {"train_videos": 0},
        {"unseen_share": 1.5},
        {"jpeg_quality": 0},
        {"frame_rate": 0.0},
        {"seed": -1},
        {"image_height": 5},
    ],
)
def test_impossible_worlds_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        WorldConfig(**wrong)


def test_a_world_too_small_to_be_spoken_of_is_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match="nothing can be said about video"):
        generate(tmp_path / "set", replace(tiny, frames=8, objects_per_frame=0.01), workers=1)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_an_input_error(tiny, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be made"):
        generate(tmp_path / "file" / "set", replace(tiny, frames=8, expressions=16), workers=1)


def test_less_than_one_worker_is_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match="workers is -3"):
        generate(tmp_path / "set", tiny, workers=-3)


@pytest.mark.parametrize("other", [0, 1])
def test_two_runs_may_make_the_same_world_at_once(tiny, tmp_path, monkeypatch, other):
    """The slower one takes the faster one's, if it is the world that it wants."""
    small, root = replace(tiny, frames=8, expressions=16), tmp_path / "set"

    def slow(*arguments):
        monkeypatch.undo()
        generate(root, replace(small, seed=other), workers=1)
        return simulate_world(*arguments)

    monkeypatch.setattr("flexhook.synthetic.world_files.simulate_world", slow)
    with nullcontext() if other == small.seed else pytest.raises(InputError, match="seed = 1"):
        ensure(root, small, workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_request_to_end_leaves_nothing(tmp_path):
    """SIGTERM while two processes simulate: no folder, no process and no open pipe stays."""
    command = [sys.executable, "-m", "flexhook.commands.main", "data", "synthesize", "--out", str(tmp_path / "set")]
    process = subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for _ in range(600):
        if list(tmp_path.glob(".set.*/KITTI/training/image_02/*")):
            break
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=60)  # ends when the last process that has the pipe does
    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_nothing_is_refused_before_the_work(tiny, tmp_path):
    (tmp_path / "set").symlink_to("gone")
    with pytest.raises(InputError, match=r"link to what is not there.*Make gone"):
        ensure(tmp_path / "set", tiny, workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
