"""Dataset folders as they are published or unpacked: what is odd about them is told, with the key that mends it."""

import json
import logging
import re
import shutil
from pathlib import Path

import lamot_world
import pytest

from flexhook.commands.data import run
from flexhook.commands.data_config import open_data
from flexhook.errors import InputError

CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "datasets"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the folders of real situations are not beside this checkout")
DATA = {"lamot_mix": "lamot", "visdrone": "lamot_visdrone", "tao": "lamot_tao", "dance": "refer_dance"}
GT = "MOT17/train/MOT17-02-FRCNN/gt/gt.txt"


@pytest.fixture
def lamot(tmp_path):
    """LaMOT's MOT17 and TAO, with images, ground truth and tracks."""
    lamot_world.annotations_from_structure(tmp_path)
    lamot_world.draw(tmp_path)
    return tmp_path


@pytest.fixture
def findings(capsys):
    """The findings of a check by kind."""

    def check(name, root, *more):
        run(["check", f"data={name}", f"data.root={root}", "--images=none", "--json", *more])
        return {f["kind"]: f for f in json.loads(capsys.readouterr().out)["findings"]}

    return check


def message(finding):
    return finding["example"]["message"]


@needs_cases
@pytest.mark.parametrize(
    ("case", "kind", "file", "line", "words"),
    [
        ("mot17_id_minus1", "bad-identity", GT, 105, "the identity is -1"),
        ("mot17_all_minus1", "bad-identity", GT, 1, "the identity is -1"),
        ("mot17_single_minus1", "bad-identity", GT, 105, "the identity is -1"),
        ("lamot_appledouble", "hidden-file", "annotations_v1/train/MOT17/._MOT17-02-FRCNN_01.json", None, "is left out"),
        ("lamot_mix_mac", "hidden-file", "annotations_v1/train/MOT17/._MOT17-02-FRCNN_01.json", None, "is left out"),
        ("mot17_zero_hint", "bad-box", GT, 105, "; data.reader.truth.empty_boxes=drop leaves such rows out"),
        ("mot17_frame0_hint", "bad-frame", GT, 1, "Set data.reader.truth.first_frame to"),
        ("mot15_gt", "rows-left-out", GT, None, "8 of 8 rows are left out: 8 of class -1. data.reader.truth.classes"),
        ("soccernet_class_minus1", "missing-referent", "annotations_v1/train/MOT17/MOT17-02-FRCNN_01.json", 1, "8 of class -1"),
        ("mot17_flag0_referent", "missing-referent", "annotations_v1/train/MOT17/MOT17-02-FRCNN_01.json", 1, "96 with flag 0"),
        ("visdrone_class11_ref", "missing-referent", "annotations_v1/val/VisDrone/uav0000117_02622_v_01.json", 1,
         "of the labels 14 of 26 rows are left out: 8 with flag 0, 6 of class 11"),
        ("dance_expr0", "bad-frame", "expression/dancetrack0004/the-person-in-white.json", 1,
         "Set data.reader.expressions.first_frame"),
        ("dance_seqlen_short", "length-differs", "val/dancetrack0004/seqinfo.ini", 5,
         "5 frames by its description, and 6 by the images .* Correct the length, or remove the images"),
        ("mot17_gt_beyond", "frame-outside-video", GT, 105, "go on to frame 8, its frames in .*img1 end with 7"),
        ("mot17_sliced", "frame-outside-video", GT, 1, "begin with 000005.jpg, frame 4.*name 4 frames before"),
        ("tao_official_names", "missing-file", "TAO/frames/Charades/02DPI", None,
         r"like frame0001.jpg: set 'data.reader.images.pattern=\"TAO/\*/{video}/frame{frame:04d}.{ext}\"'"),
    ],
)  # fmt: skip
def test_the_cases_are_told_with_file_line_and_key(findings, case, kind, file, line, words):
    name = next((data for start, data in DATA.items() if case.startswith(start)), "lamot_mot17")
    found = findings(name, CASES / case)[kind]
    assert (Path(found["example"]["file"]), found["example"]["line"]) == (CASES / case / file, line)
    assert "tracker." not in message(found)
    assert re.search(words, message(found))


@needs_cases
def test_what_hints_name_mends_the_cases(findings):
    for name, case, *keys in (
        ("lamot_mot17", "mot17_zero_hint", "data.reader.truth.empty_boxes=drop"),
        ("lamot_mot17", "mot17_frame0_hint", "data.reader.truth.first_frame=0"),
        ("lamot_mot17", "mot15_gt", "data.reader.truth.classes=null"),
        ("lamot_mot17", "soccernet_class_minus1", "data.reader.truth.classes=null"),
        ("refer_dance", "dance_expr0", "data.reader.expressions.first_frame=0"),
        ("lamot_tao", "tao_official_names", 'data.reader.images.pattern="TAO/*/{video}/frame{frame:04d}.{ext}"'),
    ):
        assert not [f for f in findings(name, CASES / case, *keys).values() if f["severity"] == "error"], case
    left = findings("lamot_mot17", CASES / "mot17_zero_hint", "data.reader.truth.empty_boxes=drop")
    assert left["dropped-rows"]["count"] == 1


def test_hidden_files_become_neither_videos_nor_expressions(lamot, findings):
    before = {name: open_data([f"data={name}", f"data.root={lamot}"])[1].splits for name in ("lamot_mot17", "lamot_tao")}
    folder = lamot / "annotations_v1/train/MOT17"
    name = next(folder.glob("*.json")).name
    (folder / f"._{name}").write_bytes(b"\0\5\26\7")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / f"._{name}").write_bytes(b"\0\5\26\7")
    (folder / ".old").mkdir()
    shutil.copyfile(folder / name, folder / ".old/other_01.json")
    images = lamot / "MOT17/train/MOT17-01-FRCNN/img1"
    (images / "._000001.jpg").write_bytes(b"\0\5\26\7")
    for data, splits in before.items():
        assert open_data([f"data={data}", f"data.root={lamot}"])[1].splits == splits
    found = findings("lamot_mot17", lamot)
    assert found["hidden-file"]["count"] == 4
    assert not {"stray-file", "bad-json"} & found.keys()


def test_a_mixture_s_messages_name_the_keys_of_the_source(lamot, findings):
    truth = lamot / "MOT17/train/MOT17-01-FRCNN/gt/gt.txt"
    truth.write_text(truth.read_text() + "1,77,5,5,0,9,1,1,0.8\n")
    alone, mixed = (findings(name, lamot)["bad-box"] for name in ("lamot_mot17", "lamot"))
    assert "data.reader.truth.empty_boxes=drop" in message(alone)
    assert "data.reader.sources.MOT17.truth.empty_boxes=drop" in message(mixed)
    reader = open_data(["data=lamot", f"data.root={lamot}", "data.reader.sources.MOT17.truth.empty_boxes=drop"])[1]
    assert 77 not in reader.read("MOT17-01-FRCNN").truth.identity
    with pytest.raises(InputError, match=r"data\.reader\.sources\.MOT17\.truth\.empty_boxes=drop"):
        open_data(["data=lamot", f"data.root={lamot}"])[1].read("MOT17-01-FRCNN")


def test_labels_of_one_frame_a_second_among_images_of_all_frames_are_refused(lamot, findings):
    name = "01qi1gD2Sw_scene_1_28435-31083"
    folder = next(lamot.glob(f"TAO/*/AVA/{name}"))
    images = sorted(folder.iterdir(), key=lambda path: int(path.stem))
    for k, path in enumerate(images):  # 16 labelled frames: every 30th of 451 from the first on
        for n in range(30 if k < len(images) - 1 else 0):
            if n:
                shutil.copyfile(path, folder / f"{int(path.stem) + n}.jpg")
    right = findings("lamot_tao", lamot, "data.reader.images.step=30")
    assert "too-many-images" not in right
    found = findings("lamot_tao", lamot)["too-many-images"]
    assert (found["severity"], found["count"]) == ("error", 1)
    assert "has 451 images" in message(found)
    assert "data.reader.images.step=n to take every n-th image (here about 30)" in message(found)
    assert message(found).startswith(f"{next(lamot.glob(f'TAO/gt/*/AVA/{name}.txt'))}:")
    with pytest.raises(InputError, match="has 451 images"):
        open_data(["data=lamot_tao", f"data.root={lamot}"])[1].read(name)
    video = open_data(["data=lamot_tao", f"data.root={lamot}", "data.reader.images.step=30"])[1].read(name)
    assert video.num_frames == 16
    assert [Path(path).name for path in video.frames.paths] == [path.name for path in images]


def test_every_nth_numbered_image_is_a_frame(lamot):
    options = ["data=lamot_mot17", f"data.root={lamot}"]
    video = open_data([*options, "data.reader.truth.first_frame=0", "data.reader.images.step=5",
                       "data.reader.images.first_frame=2", "data.reader.on_missing_referent=drop"])[1]
    numbers = video.images.files(lamot, "MOT17-01-FRCNN")
    assert [Path(path).stem for path in numbers.values()] == ["000002", "000007", "000012"]
    assert list(numbers) == [0, 1, 2]
    assert video.images.path(lamot, "MOT17-01-FRCNN", 2).name == "000012.png"


def test_a_video_of_which_every_row_is_left_out_warns_while_it_is_read(lamot, caplog):
    truth = lamot / "MOT17/train/MOT17-01-FRCNN/gt/gt.txt"
    truth.write_text(truth.read_text().replace(",1,1,0.8", ",1,9,0.8"))
    reader = open_data(["data=lamot_mot17", f"data.root={lamot}", "data.reader.on_missing_referent=drop"])[1]
    with caplog.at_level(logging.WARNING):
        assert not len(reader.read("MOT17-01-FRCNN").truth)
    assert "video MOT17-01-FRCNN has no label" in caplog.text
    assert "of class 9. data.reader.truth.classes names the classes that count" in caplog.text


def test_rows_that_an_option_drops_are_told_once_per_file(lamot, caplog):
    tracks = lamot / "tracks/MOT17-01-FRCNN.txt"
    tracks.write_text("".join(["1,-1,5,5,9,9,1,-1,-1,-1\n"] * 3) + "1,80,5,5,0,9,1,-1,-1,-1\n" + tracks.read_text())
    options = ["data=lamot_mot17", f"data.root={lamot}", "tracker.unidentified=drop", "tracker.empty_boxes=drop"]
    _, reader, tracker = open_data(options)
    with caplog.at_level(logging.WARNING):
        assert len(tracker.track(reader.read("MOT17-01-FRCNN")))
    assert f"{tracks}:1: 3 rows are left out that have no identity (-1), this one first" in caplog.text
    assert f"{tracks}:4: 1 rows are left out that have a box without area" in caplog.text
    assert len(caplog.records) == 2
