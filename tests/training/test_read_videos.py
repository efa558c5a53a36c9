"""A run reads a video's files once, and keeps what it has read where ``cache_dir`` says."""

from collections import Counter

import pytest
from toy_world import start

from flexhook.datasets import cache as read_cache

NOTED = ["data.reader.truth={_target_:toy_world.NotedLabels}", "tracker=simulated", "optim.epochs=1"]


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """How often the labels of each video were read so far."""
    monkeypatch.setenv("TOY_READS", str(tmp_path / "reads.txt"))
    return lambda: Counter((tmp_path / "reads.txt").read_text().split())


def test_without_a_cache_the_calibration_takes_the_videos_of_the_training(toy, tmp_path, monkeypatch, reads):
    monkeypatch.setattr(read_cache, "IN_MEMORY", 1)
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "environment"))
    toy.run(tmp_path / "run", *NOTED, "cache_dir=off", "scoring=calibrated")
    assert [reads()[video] for video in "abc"] == [1, 1, 1]
    assert not (tmp_path / "environment").exists()


def test_the_configured_folder_has_the_caches_of_videos_and_tracks(toy, tmp_path, monkeypatch, reads):
    monkeypatch.setattr(read_cache, "IN_MEMORY", 1)
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "environment"))
    toy.run(tmp_path / "run", *NOTED, f"cache_dir={tmp_path}/configured")
    assert reads() == dict.fromkeys("abcuvw", 1)
    assert sorted(p.name[0] for p in (tmp_path / "configured/videos").iterdir()) == list("abcuvw")
    assert len(list((tmp_path / "configured/tracks").iterdir())) == 3
    assert not (tmp_path / "environment").exists()


@pytest.mark.slow
def test_two_processes_read_every_video_once(toy, tmp_path, reads):
    argv = ["train", *toy.overrides, *NOTED, "trainer=ddp", f"cache_dir={tmp_path}/cache", f"hydra.run.dir={tmp_path}/run"]
    with start(argv, tmp_path) as process:
        said = process.communicate(timeout=280)[0]
    assert process.returncode == 0, said
    assert reads() == dict.fromkeys("abcuvw", 1)
