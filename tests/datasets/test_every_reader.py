"""Every layout reads into the same data; splits, layouts and first frames are configuration."""

import json
import logging
from functools import partial
from pathlib import Path

import layouts
import numpy as np
import pytest
import small_world as world
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from flexhook.datasets.expression_folder import ExpressionFolder
from flexhook.datasets.kitti_labels import read_kitti_labels
from flexhook.datasets.lamot import read_annotation
from flexhook.datasets.mixture import Mixture
from flexhook.datasets.reader import load
from flexhook.errors import ConfigError, InputError

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
SPLITS, SIZES = {"train": ["0001"]}, {"default": list(world.SIZE)}
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not beside this checkout")


def test_raw_refer_kitti(tmp_path):
    world.assert_is_the_world(layouts.refer_kitti(world.refer_kitti(tmp_path), SPLITS, SIZES).read("0001"))


def test_ikun_reorganisation(tmp_path):
    world.assert_is_the_world(layouts.ikun(world.ikun(tmp_path), SPLITS, SIZES).read("0001"))


def test_refer_dance_counts_from_one(tmp_path):
    reader = layouts.refer_dance(world.dance(tmp_path), SPLITS, truth_classes={1: "pedestrian", 3: "car"})
    world.assert_is_the_world(reader.read("0001"))


def test_lamot_leaves_out_what_is_no_object(tmp_path):
    # the ground truth also holds rows with flag 0, without size, and of another class with a repeated identity
    world.assert_is_the_world(layouts.lamot(world.lamot(tmp_path)).read("0001"))


def test_kitti_labels(tmp_path):
    reader = layouts.kitti(world.kitti(tmp_path), SPLITS, SIZES, expressions=ExpressionFolder())
    world.assert_is_the_world(reader.read("0001"))
    assert layouts.kitti(tmp_path, SPLITS, SIZES).read("0001").expressions == ()


def test_kitti_without_images_has_the_configured_length(tmp_path):
    reader = layouts.kitti(world.kitti(tmp_path), SPLITS, SIZES, images=None, lengths={"0001": 9})
    assert reader.read("0001").num_frames == 9
    assert layouts.kitti(tmp_path, SPLITS, SIZES, images=None).read("0001").num_frames == 5  # until the last object


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0 0 Car 0 0 -1.7 10 10 20 20 1 1 1 1 1 1", "16 columns"),
        ("0 0 Cra 0 0 -1.7 10 10 20 20 1 1 1 1 1 1 1", "type is 'Cra'"),
        ("0 0 Car 0 0 -1.7 10 10 9 20 1 1 1 1 1 1 1", "-1 wide"),
        ("0 0 Car 0 0 -1.7 10 nan 20 20 1 1 1 1 1 1 1", "NaN"),
        ("0 0 Car 0 0 -1.7 1_0 10 20 20 1 1 1 1 1 1 1", "not a number"),
        ("-1 0 Car 0 0 -1.7 10 10 20 20 1 1 1 1 1 1 1", "frame is -1"),
        ("0 -1 Car 0 0 -1.7 10 10 20 20 1 1 1 1 1 1 1", "identity is -1"),
        ("7 1 Car 0 0 -1.7 10 10 20 20 1 1 1 1 1 1 1", "occurs twice"),
    ],
)
def test_a_bad_kitti_label_is_one_message_with_file_and_line(tmp_path, row, words):
    file = world.text(tmp_path / "0001.txt", f"7 1 Car 0 0 -1.7 10 10 20 20 1 1 1 1 1 1 1\n{row}\n")
    with pytest.raises(InputError, match=words) as error:
        read_kitti_labels(file)
    assert (error.value.file, error.value.line) == (file, 2)


def test_newsent_adds_sentences_outside_the_test_split(tmp_path):
    world.ikun(tmp_path)
    world.text(tmp_path / "newsent.json", {"0001": ["blue vans", "red cars"]})
    sentences = ("blue vans", *world.SENTENCES)
    world.assert_is_the_world(layouts.ikun(tmp_path, SPLITS, SIZES).read("0001"), sentences=sentences)
    world.assert_is_the_world(layouts.ikun(tmp_path, {"test": ["0001"]}, SIZES).read("0001"))
    world.assert_is_the_world(layouts.ikun(tmp_path, SPLITS, SIZES, extra_sentences=None).read("0001"))


def test_newsent_beside_the_raw_layout_adds_sentences_outside_the_test_split(tmp_path):
    world.refer_kitti(tmp_path)
    reader = partial(layouts.refer_kitti, tmp_path, sizes=SIZES, extra_sentences="newsent.json")
    world.assert_is_the_world(reader(SPLITS).read("0001"))  # no such file
    world.text(tmp_path / "newsent.json", {"0001": ["blue vans", "red cars"]})
    world.assert_is_the_world(reader(SPLITS).read("0001"), sentences=("blue vans", *world.SENTENCES))
    world.assert_is_the_world(reader({"test": ["0001"]}).read("0001"))
    world.assert_is_the_world(layouts.refer_kitti(tmp_path, SPLITS, SIZES).read("0001"))


def test_a_sentence_without_an_expression_file_is_no_test_sequence(tmp_path):
    """The published test sets are lists of expression files; training takes the sentences of labels.json too."""
    world.ikun(tmp_path)
    (tmp_path / "expression/0001/red-cars.json").unlink()
    found = []
    reader = layouts.ikun(tmp_path, {"test": ["0001"]}, SIZES)
    video = reader.read("0001", lambda kind, error: found.append((kind, str(error))))
    assert [e.sentence for e in video.expressions] == ["people", "the car in front"]
    assert [kind for kind, _ in found] == ["no-expression-file"] and "'red cars'" in found[0][1]
    world.assert_is_the_world(layouts.ikun(tmp_path, SPLITS, SIZES).read("0001"))
    world.assert_is_the_world(layouts.ikun(tmp_path, {"test": ["0001"]}, SIZES, expressions=None).read("0001"))


def test_ikun_without_expression_folder_takes_the_sentences_of_its_labels(tmp_path):
    world.ikun(tmp_path)
    world.assert_is_the_world(layouts.ikun(tmp_path, SPLITS, SIZES, expressions=None).read("0001"))


def test_ikun_reports_expression_files_that_disagree(tmp_path):
    world.ikun(tmp_path)
    world.expressions(tmp_path / "expression/0001", first=1)  # shifted by a frame
    found = []
    reader = layouts.ikun(tmp_path, SPLITS, SIZES)
    world.assert_is_the_world(reader.read("0001", lambda kind, error: found.append((kind, str(error)))))
    assert [kind for kind, _ in found] == ["referents-differ"] * 3
    found.clear()
    layouts.ikun(tmp_path, SPLITS, SIZES, expressions_first_frame=1).read("0001", lambda kind, error: found.append(kind))
    assert not found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["0001"]["0"]["0"].update(bbox=[0.1, 0.1, 0.0, 0.2]), "not of positive size"),
        (lambda d: d["0001"]["0"]["0"].update(bbox=[10**400, 0.1, 0.1, 0.2]), "in fractions"),
        (lambda d: d["0001"]["0"]["0"].update(expression_raw=["\ud800"]), "is no character"),
        (lambda d: d["0001"]["0"]["0"].update(bbox=[20, 20, 50, 50]), "in fractions"),
        (lambda d: d["0001"]["0"]["0"].update(bbox=[0.1, 0.1, "a", 0.2]), "the box of frame 0"),
        (lambda d: d["0001"]["0"]["0"].update(expression_raw="red cars"), "the sentences of frame 0"),
        (lambda d: d["0001"]["0"].update({"x": d["0001"]["0"]["0"]}), "the frame 'x'"),
        (lambda d: d["0001"].update({"a": d["0001"]["0"]}), "the identity 'a'"),
        (lambda d: d["0001"].update({"00": d["0001"]["0"]}), "identity 00 occurs twice"),
        (lambda d: d["0001"].update({"0": []}), "not of the expected form"),
        (lambda d: d.pop("0001"), "no video 0001"),
    ],
)
def test_a_bad_labels_json_is_one_message_with_file_and_line(tmp_path, change, words):
    world.ikun(tmp_path)
    content = json.loads((tmp_path / "labels.json").read_text())
    change(content)
    (tmp_path / "labels.json").write_text(json.dumps(content, indent=0))
    with pytest.raises(InputError, match=words) as error:
        layouts.ikun(tmp_path, SPLITS, SIZES).read("0001")
    assert error.value.file == tmp_path / "labels.json"


def test_lamot_videos_come_from_the_annotation_folders(tmp_path):
    for k in range(10):
        world.lamot(tmp_path, name=f"seq-{k:02d}")
    world.lamot(tmp_path, split="val", name="seq-99")
    assert layouts.lamot(tmp_path).splits == {"train": tuple(f"seq-{k:02d}" for k in range(10)), "test": ("seq-99",)}
    held = layouts.lamot(tmp_path, expressions_validation_share=0.3).splits
    assert len(held["val"]) == 3
    assert sorted(held["train"] + held["val"]) == [f"seq-{k:02d}" for k in range(10)]
    assert layouts.lamot(tmp_path, expressions_validation_share=0.3).splits == held
    assert len(layouts.lamot(tmp_path, expressions_validation_share=0.01).splits["val"]) == 1
    with pytest.raises(ConfigError, match="validation share"):
        layouts.lamot(tmp_path, expressions_validation_share=1)


def test_tao_lies_a_folder_deeper_and_numbers_images_by_id(tmp_path):
    world.lamot(tmp_path, source="TAO", folder="AVA")
    place = tmp_path / "TAO/train/AVA/0001"
    for path in (place / "img1").iterdir():
        path.unlink()
    world.images(place / "img1", names=["7", "31", "45", "104", "1000", "5002"])
    options = {
        "expressions_folders": {"train": "annotations_v1/train/TAO"},
        "sizes": "TAO/*/{video}/seqinfo.ini",
        "images_pattern": "TAO/*/{video}/img1/{frame}.{ext}",
        "images_numbering": "rank",
        "truth_path": "TAO/*/{video}/gt/gt.txt",
    }
    reader = layouts.lamot(tmp_path, **options)
    video = reader.read("0001")
    world.assert_is_the_world(video)
    assert video.frames.read(4)[0, 0].tolist() == [4, 0, 0]
    # the same ground truth with image ids in its first column
    ids = [7, 31, 45, 104, 1000, 5002]
    rows = [line.split(",", 1) for line in world.mot_rows(first=0).splitlines()]
    world.text(place / "gt/gt.txt", "".join(f"{ids[int(frame)]},{rest}\n" for frame, rest in rows))
    world.assert_is_the_world(layouts.lamot(tmp_path, truth_numbering="image", **options).read("0001"))


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("car_(automobile)", "car automobile"),
        ("business_card", "business card"),
        ("baby", "baby (may be women)"),
        ("baby in light blue shirt", "baby in light blue shirt"),
        ("{} in black suit {}", "in black suit"),
        ("polarbear", "polar bear"),
    ],
)
def test_tao_sentences_are_split_into_words(tmp_path, language, sentence):
    pytest.importorskip("wordninja")
    world.lamot(tmp_path)
    world.text(tmp_path / "annotations_v1/train/MOT17/0001_01.json", {"targets": {"1": [3]}, "language": language})
    assert layouts.lamot(tmp_path, expressions_split_words=True).read("0001").expressions[0].sentence == sentence
    assert layouts.lamot(tmp_path).read("0001").expressions[0].sentence == language


def test_lamot_sentences_that_are_equal_get_slugs_that_differ(tmp_path):
    world.lamot(tmp_path)
    for k in (4, 10):
        world.text(tmp_path / f"annotations_v1/train/MOT17/0001_{k:02d}.json", {"targets": {}, "language": "people"})
    video = layouts.lamot(tmp_path).read("0001")
    assert [e.slug for e in video.expressions] == ["people", "red-cars", "the-car-in-front", "people-2", "people-3"]


def test_a_bad_annotation_is_one_message_with_file_and_line(tmp_path):
    file = world.text(tmp_path / "a_01.json", '{"targets": {\n"0": [1]}, "language": "x"}')
    with pytest.raises(InputError, match="frame 0 is before the first frame 1") as error:
        read_annotation(file)
    assert (error.value.file, error.value.line) == (file, 2)
    with pytest.raises(InputError, match="no language"):
        read_annotation(world.text(tmp_path / "b_01.json", '{"targets": {"1": [1]}}'))


def test_two_sequences_of_one_name_are_refused(tmp_path):
    world.lamot(tmp_path, folder="AVA")
    world.lamot(tmp_path, folder="BDD")
    with pytest.raises(InputError, match="two sequences are named 0001"):
        layouts.lamot(tmp_path)


def test_a_mixture_marks_videos_with_their_source(tmp_path):
    world.lamot(tmp_path, name="mot")
    world.refer_kitti(tmp_path)
    splits = {"train": ["0001"], "test": []}
    sources = {"A": layouts.lamot(tmp_path), "B": layouts.refer_kitti(tmp_path, splits, SIZES), "C": None}
    mixture = Mixture(sources)
    assert mixture.splits == {"train": ("mot", "0001"), "test": ()}
    assert [(v.name, v.source) for v in load(mixture, "train")] == [("mot", "A"), ("0001", "B")]
    assert mixture.video_names("test") == []
    assert mixture.files("0001") == sources["B"].files("0001")
    with pytest.raises(ConfigError, match="both have a video 0001"):
        Mixture({"B": sources["B"], "again": sources["B"]})
    with pytest.raises(ConfigError, match="no source"):
        Mixture({"A": None})


def test_a_video_in_two_places_is_refused(tmp_path):
    world.dance(tmp_path, "train")
    world.dance(tmp_path, "val")
    with pytest.raises(InputError, match="in several places"):
        layouts.refer_dance(tmp_path, SPLITS).read("0001")


@pytest.mark.parametrize("content", ["", "[Sequence]\nimWidth=200\n", "[Sequence]\nimHeight=-3\nimWidth=200\n", "\x00"])
def test_a_broken_seqinfo_is_named(tmp_path, content):
    world.dance(tmp_path)
    file = world.text(tmp_path / "val/0001/seqinfo.ini", content)
    with pytest.raises(InputError, match=r"seqinfo\.ini") as error:
        layouts.refer_dance(tmp_path, SPLITS).read("0001")
    assert error.value.file == file


def test_sizes_may_be_taken_from_the_images_if_asked_for(tmp_path):
    world.dance(tmp_path)
    assert layouts.refer_dance(tmp_path, SPLITS, sizes="images").read("0001").size == (10, 20)
    with pytest.raises(ConfigError, match=r"sizes is .image."):
        layouts.refer_dance(tmp_path, SPLITS, sizes="image")


def compose_data(*overrides):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("dataset", overrides=list(overrides)).data


def test_configurations_read_what_they_name(tmp_path):
    world.dance(tmp_path / "dance", car=1)
    config = compose_data("data=refer_dance", f"data.root={tmp_path}/dance", "data.reader.splits.test=['0001']")
    assert len(instantiate(config.reader).read("0001").expressions) == 3
    world.ikun(tmp_path / "ikun")
    size = f"data.reader.sizes.default={list(world.SIZE)}"
    config = compose_data("data=refer_kitti_ikun", f"data.root={tmp_path}/ikun", size)
    world.assert_is_the_world(instantiate(config.reader).read("0001"))
    world.kitti(tmp_path / "kitti")
    config = compose_data("data=kitti", f"data.root={tmp_path}/kitti", size)
    assert len(instantiate(config.reader).read("0001").truth) == 6


def test_the_lamot_configuration_mixes_the_sources_that_are_there(tmp_path, caplog):
    pytest.importorskip("wordninja")
    for source in ("MOT17", "SportsMOT"):
        world.lamot(tmp_path, source, name=f"{source}-a", car=1)
        world.lamot(tmp_path, source, name=f"{source}-b", car=1)
        world.lamot(tmp_path, source, split="val", name=f"{source}-c", car=1)
    share = "data.reader.sources.SportsMOT.expressions.validation_share=0"
    config = compose_data("data=lamot", f"data.root={tmp_path}", share)
    reader = instantiate(config.reader)
    assert reader.splits["train"] == ("MOT17-b", "SportsMOT-a", "SportsMOT-b")
    assert reader.splits["val"] == ("MOT17-a",)
    assert [v.source for v in load(reader, "test")] == ["MOT17", "SportsMOT"]
    assert set(config.strides.train) == {"MOT17", "SportsMOT", "VisDrone", "TAO"}
    alone = compose_data("data=lamot", f"data.root={tmp_path}", "data.reader.sources.MOT17=null")
    assert instantiate(alone.reader).video_names("test") == ["SportsMOT-c"]


@needs_shared
def test_real_kitti_labels_load(caplog):
    overrides = ["data=kitti", f"data.root={SHARED}/kitti", "data.reader.images=null"]
    config = compose_data(*overrides, "data.reader.truth.path='label_02/{video}.txt'")
    reader = instantiate(config.reader)
    videos = [reader.read(path.stem) for path in sorted((SHARED / "kitti/label_02").glob("*.txt"))]
    # every row but DontCare and Misc
    lines = [line.split()[2] for path in (SHARED / "kitti/label_02").glob("*.txt") for line in path.open()]
    assert sum(len(v.truth) for v in videos) == sum(kind not in ("DontCare", "Misc") for kind in lines) == 36277
    assert sum(v.num_frames for v in videos) == 6609
    assert not caplog.records


@needs_shared
def test_real_tracks_and_detections_load():
    from flexhook.datasets.mot import read_mot

    rows = 0
    for path in sorted((SHARED / "kitti").rglob("predict.txt")) + sorted((SHARED / "kitti").rglob("det.txt")):
        rows += len(read_mot(path, first_frame=1, drop_empty=True, unidentified="detections"))
    assert rows == 113145 - 1  # one detection is 0 wide
    with pytest.raises(InputError, match="it is 0 wide") as error:
        read_mot(SHARED / "kitti/detections/pointrcnn/0000/car/det.txt", first_frame=1)
    assert error.value.line == 615


@needs_shared
def test_real_lamot_annotations_load():
    found = [read_annotation(path) for path in sorted((SHARED / "lamot_annotations").rglob("*.json"))]
    assert len(found) == 81
    assert all(len(a.referents) for a in found)
    sentences = [a.expression.sentence for a in found]
    assert sentences.count("baby") == 9
    assert {"car_(automobile)", "{} in black suit {}", "car van truck"} <= set(sentences)


@needs_shared
def test_lamot_slugs_are_those_of_the_published_lists():
    published = set()
    for name in ("MOT17", "VisDrone"):
        published |= set((SHARED / f"seqmaps/{name}.txt").read_text().split())
    pattern = {"train": "train_{}", "test": "val_{}"}
    made = set()
    for source in ("MOT17", "VisDrone"):
        folders = {"test": pattern["test"].format(source)}
        options = {"expressions_folders": folders, "sizes": {"default": [10, 10]}, "images": None}
        reader = layouts.lamot(SHARED / "lamot_annotations", **options)
        for name in reader.splits["test"]:
            made |= {f"{name}+{a.expression.slug}" for a in reader.annotations(name)}
    assert published <= made


def test_nothing_is_said_when_all_is_well(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        layouts.refer_kitti(world.refer_kitti(tmp_path), SPLITS, SIZES).read("0001")
    assert not caplog.records


def test_equal_settings_are_equal_texts(tmp_path):
    world.refer_kitti(tmp_path)
    one, two = (layouts.refer_kitti(tmp_path, SPLITS, SIZES).settings("0001") for _ in range(2))
    assert one == two
    assert one != layouts.refer_kitti(tmp_path, SPLITS, SIZES, truth_first_frame=1).settings("0001")
    assert one != layouts.refer_kitti(tmp_path, SPLITS, {"default": [100, 201]}).settings("0001")
    assert np.array_equal(layouts.refer_kitti(tmp_path, SPLITS, SIZES).read("0001").size, world.SIZE)


def test_patterns_may_be_absolute_and_hold_a_star(tmp_path):
    world.dance(tmp_path / "dance", "train")
    (tmp_path / "root").mkdir()
    place = f"{tmp_path}/dance/*/{{video}}"
    reader = layouts.refer_dance(
        tmp_path / "root",
        SPLITS,
        sizes=f"{place}/seqinfo.ini",
        images_pattern=f"{place}/img1/{{frame:08d}}.{{ext}}",
        truth_path=f"{place}/gt/gt.txt",
        expressions_folder=f"{tmp_path}/dance/expression/{{video}}",
        truth_classes={1: "pedestrian", 3: "car"},
    )
    world.assert_is_the_world(reader.read("0001"))
