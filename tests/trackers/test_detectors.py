"""Every detector of the group `detector`, without a hub: boxes in pixels of the frame, classes by name, keys by weights."""

import inspect
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from hydra.utils import get_class
from moving import Squares, detections, video, walk
from omegaconf import OmegaConf
from supervision import Detections
from transformers import (
    BertConfig,
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    RTDetrImageProcessor,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
    SwinConfig,
)

from flexhook.configuration.resolvers import config_folder
from flexhook.configuration.trust import PARTS
from flexhook.errors import ConfigError, InputError
from flexhook.trackers.detections import from_result, make_detections
from flexhook.trackers.detectors.adapters import FunctionDetector, GivenDetections
from flexhook.trackers.detectors.background import BackgroundSubtraction
from flexhook.trackers.detectors.grounding_dino import GroundingDino, caption_words
from flexhook.trackers.detectors.mot import MotDetections
from flexhook.trackers.detectors.torchvision_detector import TorchvisionDetector
from flexhook.trackers.detectors.transformers_detector import TransformersDetector
from flexhook.trackers.detectors.ultralytics_detector import UltralyticsDetector

YAMLS = sorted((config_folder() / "detector").glob("*.yaml"))
FRAMES = [np.random.default_rng(k).integers(0, 255, (60 + 20 * k, 120, 3), np.uint8) for k in range(2)]


@pytest.fixture(scope="module")
def rt_detr(tmp_path_factory):
    """A tiny RT-DETR with random weights, as `save_pretrained` leaves it."""
    torch.manual_seed(0)
    backbone = {
        "model_type": "rt_detr_resnet", "embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1],
        "layer_type": "basic", "out_features": ["stage2", "stage3", "stage4"], "out_indices": [2, 3, 4],
    }  # fmt: skip
    config = RTDetrV2Config(
        backbone_config=backbone, encoder_in_channels=[8, 16, 16], encoder_hidden_dim=16, encoder_ffn_dim=16, d_model=16,
        decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, decoder_layers=2, num_queries=7, decoder_attention_heads=2,
        encoder_attention_heads=2, id2label={0: "person", 1: "car", 2: "bus"}, label2id={"person": 0, "car": 1, "bus": 2},
        hidden_expansion=0.5,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("rt_detr")
    RTDetrV2ForObjectDetection(config).save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 64, "width": 96}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def grounding_dino(tmp_path_factory):
    """A tiny Grounding DINO with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("grounding_dino")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "car", "red", "person", "on", "a", "bicycle"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    text = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    backbone = SwinConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
                          out_features=["stage2", "stage3", "stage4"], out_indices=[2, 3, 4])  # fmt: skip
    config = GroundingDinoConfig(
        backbone_config=backbone, text_config=text.to_dict(), d_model=32, encoder_layers=1, decoder_layers=2, num_queries=6,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_text_len=32,
    )  # fmt: skip
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, BertTokenizerFast(vocab_file=str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def ssdlite(tmp_path_factory):
    """Random weights of torchvision's smallest detector, for three classes."""
    torch.manual_seed(0)
    model = torchvision.models.get_model("ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=3)
    path = tmp_path_factory.mktemp("ssdlite") / "weights.pth"
    torch.save(model.state_dict(), path)
    return path


def check(found, classes):
    """Columns, bounds and kinds of detections of :data:`FRAMES`."""
    assert len(found) == len(FRAMES) and sum(map(len, found)) > 0
    for one, frame in zip(found, FRAMES, strict=True):
        assert one.xyxy.dtype == one.confidence.dtype == np.float32 and one.class_id.dtype == np.int64
        assert (one.xyxy[:, 2:] > one.xyxy[:, :2]).all() and (one.xyxy >= 0).all()
        assert (one.xyxy[:, 2:] <= [frame.shape[1], frame.shape[0]]).all()
        assert ((one.confidence >= 0) & (one.confidence <= 1)).all() and (one.class_id < len(classes)).all()


def test_a_transformers_model_from_a_folder(rt_detr):
    detector = TransformersDetector(str(rt_detr), threshold=0.0, device="cpu")
    found = detector.detect(FRAMES)
    check(found, detector.classes)
    assert detector.classes == ("person", "car", "bus") and len(found[0]) == 7
    only = TransformersDetector(str(rt_detr), threshold=0.0, classes=["bus", "person"], device="cpu")
    kept = only.detect(FRAMES)[0]
    expected = found[0][np.isin(found[0].class_id, [0, 2])]
    assert only.classes == ("bus", "person") and kept.class_id.tolist() == [{0: 1, 2: 0}[c] for c in expected.class_id]
    strict = TransformersDetector(str(rt_detr), threshold=float(found[0].confidence.max()) - 1e-6, device="cpu")
    assert len(strict.detect(FRAMES[:1])[0]) == 1
    assert len({detector.key(), only.key(), strict.key()}) == 3


def test_a_batch_gives_what_single_frames_give(rt_detr):
    detector = TransformersDetector(str(rt_detr), threshold=0.0, device="cpu")
    together, alone = detector.detect(FRAMES), [detector.detect([frame])[0] for frame in FRAMES]
    for a, b in zip(together, alone, strict=True):
        order_a, order_b = np.lexsort(a.xyxy.T), np.lexsort(b.xyxy.T)
        assert np.allclose(a.xyxy[order_a], b.xyxy[order_b], atol=1e-2)


def test_a_class_that_the_model_does_not_know_is_named(rt_detr):
    with pytest.raises(InputError, match=r"detector.classes names 'lorry'.*person, car, bus"):
        TransformersDetector(str(rt_detr), classes=["lorry"])


@pytest.mark.parametrize("kind", [TransformersDetector, lambda model: GroundingDino(["car"], model)])
def test_a_model_that_cannot_be_had_is_one_message(kind, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        kind("/nowhere/at/all")
    with pytest.raises(InputError, match="cannot be had"):
        kind(str(tmp_path))


def test_a_hub_model_out_of_reach_says_how_to_bring_it(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"ustc-community/dfine-small-coco.*detector.model=FOLDER"):
        TransformersDetector("ustc-community/dfine-small-coco")


def test_grounding_dino_gives_a_class_per_prompt(grounding_dino):
    detector = GroundingDino(["Red car", "person on a bicycle"], str(grounding_dino), threshold=0.0, iou_threshold=1.0,
                             device="cpu")
    assert detector.classes == ("red car", "person on a bicycle")
    found = detector.detect(FRAMES)
    check(found, detector.classes)
    assert len({GroundingDino([p], str(grounding_dino)).key() for p in ("car", "bicycle")}) == 2


def test_the_words_of_a_prompt_are_its_own(grounding_dino):
    tokenizer = BertTokenizerFast(vocab_file=str(grounding_dino / "vocab.txt"))
    mine = caption_words(tokenizer, ["red car", "person"])
    assert mine.int().tolist() == [[0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0]]  # [CLS] red car . person . [SEP]


@pytest.mark.parametrize("prompts", [[], [""], ["a. b"]])
def test_prompts_that_make_no_caption_are_refused(prompts):
    with pytest.raises(ConfigError, match=r"detector.prompts is"):
        GroundingDino(prompts)


def test_torchvision_with_weights_of_ones_own(ssdlite):
    settings = {"labels": ["background", "car", "person"], "device": "cpu"}
    detector = TorchvisionDetector("ssdlite320_mobilenet_v3_large", ssdlite, 0.0, ["person"], **settings)
    found = detector.detect(FRAMES)
    check(found, detector.classes)
    assert detector.classes == ("person",) and set(found[0].class_id) == {0}
    other = TorchvisionDetector("ssdlite320_mobilenet_v3_large", ssdlite, 0.9, ["person"], **settings)
    assert not len(other.detect(FRAMES[:1])[0]) and other.key() != detector.key()


def test_torchvision_says_which_models_and_weights_it_takes(ssdlite):
    with pytest.raises(ConfigError, match="fcos_resnet50_fpn"):
        TorchvisionDetector("yolo")
    with pytest.raises(InputError, match=r"as many classes as detector.labels"):
        TorchvisionDetector("ssdlite320_mobilenet_v3_large", ssdlite, labels=["background", "car"])


def test_background_subtraction_finds_what_moves():
    boxes = walk((-40, 30), (3, 0), 50)
    clip, detector = Squares(boxes), BackgroundSubtraction(min_area=0.005)
    found = detector.detect([clip.read(k) for k in range(50)])
    assert all(len(one) == 0 for one in found[:3])
    assert all(len(one) == 1 and np.abs(one.xyxy[0] - boxes[k]).max() <= 1 for k, one in enumerate(found) if k >= 16)
    assert all(one.confidence[0] > 0.9 for one in found[16:]) and detector.classes == ("object",)


@pytest.mark.parametrize("history", [300, 600])
def test_what_stands_still_is_absorbed_after_a_tenth_of_the_history(history):
    boxes = np.concatenate([walk((-200, 30), (0, 0), 5), walk((60, 30), (0, 0), 90)])
    clip, detector = Squares(boxes), BackgroundSubtraction(history, min_area=0.005)
    found = np.array([len(one) for one in detector.detect([clip.read(k) for k in range(95)])])
    assert found[5:].sum() == pytest.approx(history / 10, rel=0.15) and found[5 : 5 + found[5:].sum()].all()


def test_background_subtraction_begins_anew_with_every_video():
    clip, detector = Squares(walk((8, 30), (3, 0), 20)), BackgroundSubtraction(min_area=0.005)
    frames = [clip.read(k) for k in range(20)]
    first = [one.xyxy.tolist() for one in detector.detect(frames)]
    detector.reset()
    assert [one.xyxy.tolist() for one in detector.detect(frames)] == first


def test_background_subtraction_refuses_settings_out_of_range():
    with pytest.raises(ConfigError, match="min_area < max_area"):
        BackgroundSubtraction(min_area=0.5, max_area=0.1)


def test_mot_files_are_read_as_detections(tmp_path):
    (tmp_path / "clip.txt").write_text("3,-1,10,20,30,40,0.5,3,-1,-1\n1,-1,0,0,5,5,0.9,1,-1,-1\n1,-1,9,9,5,5,0.2,7,-1,-1\n")
    clip = video(Squares(walk((0, 0), (1, 0), 4)))
    every = MotDetections(tmp_path).of_video(clip)
    assert [len(one) for one in every] == [2, 0, 1, 0] and every[2].xyxy.tolist() == [[10, 20, 40, 60]]
    named = MotDetections(tmp_path / "clip.txt", classes={1: "pedestrian", 3: "car"})
    assert named.classes == ("pedestrian", "car")
    assert [one.class_id.tolist() for one in named.of_video(clip)] == [[0], [], [1], []]
    strong = MotDetections(tmp_path, min_confidence=0.6)
    assert [len(one) for one in strong.of_video(clip)] == [1, 0, 0, 0] and strong.key() != MotDetections(tmp_path).key()


def test_mot_detections_that_are_not_this_videos_are_told(tmp_path):
    clip = video(Squares(walk((0, 0), (1, 0), 4)))
    with pytest.raises(InputError, match="no detections of video clip"):
        MotDetections(tmp_path).of_video(clip)
    (tmp_path / "clip.txt").write_text("1,-1,0,0,5,5,1\n5,-1,0,0,5,5,1\n")
    with pytest.raises(InputError, match=r"clip.txt:2: the frame 5 is past the end"):
        MotDetections(tmp_path).of_video(clip)
    (tmp_path / "clip.txt").write_text("0,-1,0,0,5,5,1\n")
    with pytest.raises(InputError, match=r"clip.txt:1: .*detector.first_frame"):
        MotDetections(tmp_path).of_video(clip)
    with pytest.raises(ConfigError, match=r"detector.root"):
        MotDetections(None)


BOX, SCORE, LABEL = [[1, 2, 30, 40]], [0.5], [2]
RESULTS = {
    "supervision": Detections(np.array(BOX, float), confidence=np.array(SCORE), class_id=np.array(LABEL)),
    "ultralytics": SimpleNamespace(boxes=SimpleNamespace(xyxy=torch.tensor(BOX), conf=torch.tensor(SCORE),
                                                         cls=torch.tensor(LABEL).float(), id=None)),
    "torchvision": {"boxes": torch.tensor(BOX), "scores": torch.tensor(SCORE), "labels": torch.tensor(LABEL)},
    "array": np.array([[1, 2, 30, 40, 0.5, 2]]),
}  # fmt: skip


@pytest.mark.parametrize("library", RESULTS)
def test_results_of_other_libraries_are_taken(library):
    found = from_result(RESULTS[library])
    assert found.xyxy.tolist() == BOX and found.confidence.tolist() == SCORE and found.class_id.tolist() == LABEL
    given = GivenDetections([RESULTS[library]] * 3, ["a", "b", "c"])
    assert len(given.of_video(video(Squares(walk((0, 0), (1, 0), 3))))) == 3
    assert FunctionDetector(lambda frame: RESULTS[library], ["a"], "x").detect(FRAMES)[1].xyxy.tolist() == BOX


def test_something_else_is_refused_with_what_is_taken():
    with pytest.raises(InputError, match="detections are str"):
        from_result("boxes")


def test_boxes_without_area_or_that_are_not_finite_are_left_out():
    found = make_detections([[0, 0, 5, 5], [3, 3, 3, 9], [0, 0, np.nan, 5], [-9, 0, 4, 5]], size=(4, 4))
    assert found.xyxy.tolist() == [[0, 0, 4, 4], [0, 0, 4, 4]] and len(make_detections([])) == 0


def test_given_detections_have_a_key_of_their_content():
    one, other = walk((0, 0), (1, 0), 3), walk((0, 0), (2, 0), 3)
    assert GivenDetections(detections(one)).key() != GivenDetections(detections(other)).key()


@pytest.mark.parametrize("match", [True, False])
def test_a_camera_that_darkens_the_whole_picture_hides_nobody(match):
    """From frame 10 on the picture has 60 % of its brightness, and an object of a tenth of the frame crosses it."""
    texture = np.random.default_rng(0).integers(90, 160, (96, 160, 1)).astype(float) * np.ones(3)
    detector, found = BackgroundSubtraction(match_exposure=match, detect_shadows=False, min_area=0.01), []
    for k in range(20):
        frame = texture * (1.0 if k < 10 else 0.6)
        if k >= 10:
            frame[30:70, 6 * k : 6 * k + 40] = (220, 30, 30)
        found.append(detector.detect([frame.astype(np.uint8)])[0])
    right = [any(np.abs(box - (6 * k, 30, 6 * k + 40, 70)).max() < 4 for box in found[k].xyxy) for k in range(10, 20)]
    assert (sum(right) >= 9) == match
    assert not match or all(len(found[k]) == 1 for k in range(11, 20))


def test_ultralytics_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ultralytics", None)
    with pytest.raises(InputError, match="pip install ultralytics"):
        UltralyticsDetector("yolo11n.pt")


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_every_parameter_is_in_the_yaml_with_a_comment(path):
    settings = OmegaConf.to_container(OmegaConf.load(path))
    kind = get_class(settings.pop("_target_"))
    assert settings.keys() == inspect.signature(kind).parameters.keys()
    assert path.read_text().startswith("# ")
    for name in settings:
        assert re.search(rf"^    {name}: ", inspect.getdoc(kind), re.M)
    target = f"{kind.__module__}.{kind.__qualname__}"
    if path.stem == "ultralytics":
        assert target not in PARTS  # its weights are pickled code: no file may name them
    else:
        assert set(PARTS[target].split()) == settings.keys()
