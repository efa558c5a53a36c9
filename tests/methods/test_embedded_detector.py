"""The embedded detector: trained as a method, its checkpoint checked, its boxes in pixels of the frame."""

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from toy_world import run_here

from flexhook.configuration.resolvers import config_folder
from flexhook.configuration.trust import check_parts
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import read_image, resize
from flexhook.methods.detector.embedded import EmbeddedDetector
from flexhook.methods.detector.frames import FrameItems, class_numbers, target
from flexhook.methods.detector.network import DetectorNetwork
from flexhook.structures import TrackSet, Video, make_labels

SETTINGS = ["experiment=detector_synthetic", "data=synthetic_tiny", "image_size=[96,320]", "sampling.stride=1",
            "sampling.val_stride=2", "sampling.batch_size=4", "model.width=32", "trainer=cpu", "optim.optimizer.lr=5e-3",
            "optim.warmup_steps=5", "trainer.log_every_n_steps=1"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("detector")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(root / "cache"))
        more = ["optim.epochs=5", "optim.milestones=[4]", f"hydra.run.dir={root}/run"]
        status, said = run_here(["train", *SETTINGS, *more], root)
    assert status == 0, said
    return root, said


def test_it_learns_and_its_best_checkpoint_is_chosen_by_average_precision(trained):
    root, said = trained
    metrics = json.loads((root / "run/metrics.json").read_text())
    assert metrics["val/AP50"] > 25 and 0 <= metrics["val/AP75"] <= metrics["val/AP50"] and "val/F1" not in metrics
    assert json.loads((root / "run/meta.json").read_text())["monitor"] == "val/AP"
    assert "32 training items of 2 videos, 8 validation frames" in said
    assert len(list((root / "run/checkpoints").glob("*-ap_*.ckpt"))) == 5


def test_frozen_features_are_computed_once(trained):
    root, said = trained
    assert said.count("cached the features of") == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXHOOK_CACHE", str(root / "cache"))
        status, again = run_here(["train", *SETTINGS, "optim.epochs=1", f"hydra.run.dir={root}/again"], root)
    assert status == 0 and "cached the features" not in again
    checkpoint = torch.load(root / "run/checkpoints/last.ckpt", weights_only=True)
    assert not any(name.startswith("model.visual.") for name in checkpoint["state_dict"])
    assert list(checkpoint["flexhook"]["frozen"]) == ["model.visual"]


def test_cached_features_train_as_features_that_are_computed_each_time(trained):
    root, _ = trained
    losses = []
    for cached in ("true", "false"):
        folder = root / f"cached_{cached}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FLEXHOOK_CACHE", str(root / "cache"))
            status, said = run_here(["train", *SETTINGS, "optim.epochs=1", f"cache_features={cached}",
                                     f"hydra.run.dir={folder}"], root)  # fmt: skip
        assert status == 0, said
        rows = (folder / "metrics.csv").read_text().splitlines()
        column = rows[0].split(",").index("train/loss")
        losses.append([float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]])
    assert len(losses[0]) == 8 and np.allclose(losses[0], losses[1], rtol=0.02)  # the cache has half precision


def test_detections_are_in_pixels_of_the_frame_whatever_its_size(trained):
    root, _ = trained
    detector = EmbeddedDetector(root / "run", threshold=0.2, device="cpu")
    assert detector.classes == ("pedestrian", "car") and not detector.sequential
    image = sorted((root / "data/synthetic_tiny/KITTI/training/image_02/0003").iterdir())[4]
    small = read_image(image)
    large = resize(small, (2 * small.shape[0], 2 * small.shape[1]))
    a, b = detector.detect([small, large])
    assert len(a) > 0 and (a.xyxy[:, 2] <= small.shape[1]).all() and (a.confidence >= 0.2).all()
    strong = a.confidence > a.confidence.max() - 0.1
    overlap = [np.abs(b.xyxy / 2 - box).max(1).min() for box in a.xyxy[strong]]
    assert max(overlap) < 6
    assert len({detector.key(), EmbeddedDetector(root / "run", threshold=0.3, device="cpu").key()}) == 2


def test_the_run_folder_stands_for_its_best_checkpoint(trained):
    root, _ = trained
    best = max((root / "run/checkpoints").glob("*-ap_*.ckpt"), key=lambda p: float(p.stem.rpartition("_")[2]))
    assert EmbeddedDetector(root / "run").key() == EmbeddedDetector(best).key()


def test_tracking_with_it_says_how_good_it_is(trained, tmp_path, monkeypatch):
    root, _ = trained
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    command = ["track", "data=synthetic_tiny", "detector=embedded", f"detector.weights={root}/run", f"out={tmp_path}/tracks"]
    status, said = run_here(command, root)
    assert status == 0, said
    metrics = json.loads((tmp_path / "tracks/metrics.json").read_text())
    assert metrics["AP50"] > 10 and metrics["HOTA"] > 10
    assert (tmp_path / "tracks/classes.txt").read_text() == "pedestrian\ncar\n"


def test_it_answers_no_sentences(trained, tmp_path):
    root, _ = trained
    status, said = run_here(["score", f"ckpt={root}/run/checkpoints/last.ckpt", f"out={tmp_path}", "accelerator=cpu"], root)
    assert status == 2 and "answers no sentences" in said and "detector=embedded" in said


def test_weights_that_are_none_are_told(trained, tmp_path):
    with pytest.raises(ConfigError, match=r"detector.weights is empty"):
        EmbeddedDetector(None)
    with pytest.raises(InputError, match="does not exist"):
        EmbeddedDetector(tmp_path / "none.ckpt")
    content = torch.load(trained[0] / "run/checkpoints/last.ckpt", weights_only=True)
    content["flexhook"]["config"]["model"]["visual"]["_target_"] = "os.system"
    torch.save(content, tmp_path / "stranger.ckpt")
    with pytest.raises(InputError, match=r"model.visual names os.system"):
        EmbeddedDetector(tmp_path / "stranger.ckpt")


def test_a_stored_configuration_may_name_every_part_of_the_first_stage():
    names = [path.stem for path in (config_folder() / "detector").glob("*.yaml") if path.stem != "ultralytics"]
    for name in names:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            cfg = compose("dataset", overrides=["data=refer_kitti", "data.root=x", "tracker=detect", f"detector={name}"])
        stored = {"tracker": OmegaConf.to_container(cfg.tracker, resolve=True)}
        assert stored["tracker"]["detector"]["_target_"].startswith("flexhook.")
        check_parts(stored, ["tracker"], "run/config.yaml")


def one_frame(boxes, category, categories=("pedestrian", "van", "car")):
    truth = TrackSet.build([1] * len(boxes), range(len(boxes)), boxes, category, categories=categories)
    return Video("v", (100, 200), [None] * 5, truth, (), make_labels([], [], (len(boxes), 0)))


def test_targets_are_clipped_scaled_and_of_the_classes():
    video = one_frame([[-20, 10, 20, 50], [50, 50, 60, 60], [100, 0, 100.5, 50], [150, 20, 190, 90]], [2, 1, 2, 0])
    found = target(video, 1, (50, 100), ("pedestrian", "car"))
    assert found["boxes"].tolist() == [[0, 5, 10, 25], [75, 10, 95, 45]] and found["labels"].tolist() == [1, 0]
    assert target(video, 0, (50, 100), ("car",))["boxes"].shape == (0, 4)
    assert class_numbers(video.truth, ("object",)).tolist() == [0] * 4


def test_items_are_every_nth_frame():
    videos = [one_frame([], [])] * 2
    assert [FrameItems(videos, 2)[k] for k in range(6)] == [(v, f) for v in (0, 1) for f in (0, 2, 4)]
    assert FrameItems(videos, 2)[3, 4] == (1, 2)


@pytest.mark.parametrize(("settings", "words"), [({"width": 40}, "width is 40"), ({"classes": []}, "no classes")])
def test_a_network_that_cannot_be_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        DetectorNetwork(None, **{"classes": ["car"], **settings})
