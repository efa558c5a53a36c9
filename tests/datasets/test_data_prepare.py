"""Preparing a dataset: what is missing is made, originals stay, twice does nothing, interrupted goes on."""

import json
import os
import shlex
import shutil
from pathlib import Path

import layouts
import pytest
import small_world as world
from PIL import Image

from flexhook.commands.data import run
from flexhook.commands.data_config import open_data
from flexhook.datasets import prepare
from flexhook.datasets.mot import read_mot
from flexhook.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not beside this checkout")
SPLITS, SIZES = {"train": ["0001"]}, {"default": list(world.SIZE)}
LABELS = "KITTI/labels_with_ids/image_02/0001"


@pytest.fixture
def data(tmp_path):
    """The small world without label files, with KITTI's label_02 in their place."""
    root = world.refer_kitti(tmp_path / "data")
    world.kitti(tmp_path / "kitti")
    shutil.rmtree(root / LABELS)
    (root / "KITTI/training/label_02").mkdir()
    shutil.copy(tmp_path / "kitti/training/label_02/0001.txt", root / "KITTI/training/label_02")
    return root


def arguments(root, *more):
    splits = "data.reader.splits={train:['0001'],val:[],test:[]}"
    return ["data=refer_kitti", f"data.root={root}", splits, f"data.reader.sizes.default={list(world.SIZE)}", *more]


def do(capsys, root, *more):
    assert run(["prepare", *arguments(root, *more)]) == 0
    return capsys.readouterr().out


def test_missing_labels_are_made_from_label_02(data, capsys):
    assert "6 files of labels" in do(capsys, data)
    video = layouts.refer_kitti(data, SPLITS, SIZES).read("0001")
    world.assert_is_the_world(video)
    assert (data / LABELS / "000003.txt").read_text() == ""  # a frame without objects is an empty file


def test_labels_beside_a_dataset_that_must_not_change(data, tmp_path, capsys):
    world.images(data / "KITTI/training/image_02/0001", size=(200, 100))
    before = world.snapshot(data)
    out = do(capsys, data, "--out", str(tmp_path / "out"), "--resize=16", "--format=png", "--trackeval")
    assert world.snapshot(data) == before
    assert "data.reader.truth.path=" in out
    reader = layouts.refer_kitti(
        data, SPLITS, SIZES, truth_path=f"{tmp_path}/out/KITTI/labels_with_ids/image_02/{{video}}/{{frame:06d}}.txt"
    )
    world.assert_is_the_world(reader.read("0001"))


def test_index_and_sequence_lists(data, capsys):
    do(capsys, data)
    assert (data / "seqmaps/train.txt").read_text() == "0001+people\n0001+red-cars\n0001+the-car-in-front\n"
    content = json.loads((data / "index.json").read_text())
    video = content["videos"]["0001"]
    assert content["splits"] == {"train": ["0001"], "val": [], "test": []}
    assert (video["frames"], video["size"], video["boxes"], video["tracks"]) == (6, [100, 200], 6, 3)
    assert [(e["slug"], e["boxes"]) for e in video["expressions"]] == [
        ("people", 2),
        ("red-cars", 4),
        ("the-car-in-front", 1),
    ]


def test_resized_images_keep_their_names_and_the_aspect_of_the_video(data, capsys):
    world.images(data / "KITTI/training/image_02/0001", size=(200, 100))
    out = do(capsys, data, "--resize=40", "--format=png")
    assert r"data.reader.images.pattern='images_40/\{video\}/\{frame:06d\}.\{ext\}'" in out
    video = layouts.refer_kitti(data, SPLITS, SIZES, images_pattern="images_40/{video}/{frame:06d}.{ext}").read("0001")
    world.assert_is_the_world(video)
    assert video.frames.read(5).shape == (40, 80, 3)
    assert video.frames.read(5)[0, 0].tolist() == [5, 0, 0]


def test_trackeval_truth_is_that_of_the_labels(data, capsys):
    do(capsys, data, "--trackeval")
    tracks = read_mot(data / "trackeval/0001/red-cars/gt.txt", first_frame=1)
    assert list(zip(tracks.frame.tolist(), tracks.identity.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 0), (4, 7)]
    assert abs(tracks.box[3] - [-10, 60, 30, 90]).max() < 1e-4


def test_done_twice_it_does_nothing(data, capsys):
    world.images(data / "KITTI/training/image_02/0001", size=(200, 100))
    options = ("--resize=20", "--trackeval")
    do(capsys, data, *options)
    before = world.snapshot(data)
    assert "everything was there already" in do(capsys, data, *options)
    assert world.snapshot(data) == before


def test_only_what_depends_on_a_change_is_made_again(data, capsys):
    world.images(data / "KITTI/training/image_02/0001", size=(200, 100))
    do(capsys, data, "--resize=20", "--trackeval")
    path = data / "expression/0001/people.json"
    path.write_text(path.read_text().replace('"1": [3]', '"1": []'))
    os.utime(path, ns=(1, 1))
    out = do(capsys, data, "--resize=20", "--trackeval")
    assert "files of trackeval" in out
    assert "files of index" in out
    assert "files of labels" not in out
    assert "images" not in out.split("use them")[0]
    assert len(read_mot(data / "trackeval/0001/people/gt.txt", first_frame=1)) == 1


def test_interrupted_it_goes_on(data, capsys, monkeypatch):
    world.images(data / "KITTI/training/image_02/0001", size=(200, 100))
    real, calls = prepare.resize, []

    def stop_after_three(image, size):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return real(image, size)

    monkeypatch.setattr(prepare, "resize", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        do(capsys, data, "--resize=20")
    made = {p.name: p.stat().st_mtime_ns for p in (data / "images_20/0001").iterdir()}
    assert 0 < len(made) <= 3
    assert not [name for name in made if name.endswith(".tmp")]
    for name in made:
        with Image.open(data / "images_20/0001" / name) as image:
            assert image.size == (40, 20)
    monkeypatch.setattr(prepare, "resize", real)
    assert f"{6 - len(made)} files of images" in do(capsys, data, "--resize=20")
    after = {p.name: p.stat().st_mtime_ns for p in (data / "images_20/0001").iterdir()}
    assert len(after) == 6
    assert {name: after[name] for name in made} == made


def test_a_deleted_product_is_made_again(data, capsys):
    do(capsys, data, "--trackeval")
    (data / "trackeval/0001/people/gt.txt").unlink()
    assert "1 files of trackeval" in do(capsys, data, "--trackeval")


def test_a_broken_note_only_means_that_files_are_made_again(data, capsys):
    do(capsys, data)
    (data / "prepared.json").write_text("{")
    assert "6 files of labels" not in do(capsys, data)  # the labels are the dataset's own now
    world.assert_is_the_world(layouts.refer_kitti(data, SPLITS, SIZES).read("0001"))


def test_existing_labels_are_left_alone(tmp_path, capsys):
    root = world.refer_kitti(tmp_path)
    before = world.snapshot(root / LABELS)
    assert "files of labels" not in do(capsys, root)
    assert world.snapshot(root / LABELS) == before


def test_what_is_needed_and_missing_is_named(data, tmp_path, capsys):
    shutil.rmtree(data / "KITTI/training/label_02")
    with pytest.raises(InputError, match="no label_02 files"):
        do(capsys, data)
    with pytest.raises(InputError, match="does not exist"):
        world.text(tmp_path / "other/0002.txt", "")
        do(capsys, data, "--labels-from", str(tmp_path / "other"))
    with pytest.raises(InputError, match="at least 16 pixels"):
        do(capsys, data, "--resize=3")


def test_labels_beyond_the_images_are_refused_or_cut(data, capsys):
    for k in (3, 4, 5):
        (data / f"KITTI/training/image_02/0001/00000{k}.png").unlink()
    for path in (data / "expression/0001").glob("*.json"):
        path.write_text(path.read_text().replace(', "4": [7]', "").replace('"4": [7]', ""))
    with pytest.raises(InputError, match="go on to frame 4"):
        do(capsys, data)
    assert "3 files of labels" in do(capsys, data, "--cut")


def test_small_images_are_not_enlarged(data, capsys):
    with pytest.raises(InputError, match="10 pixels high, its copy would be 40"):
        do(capsys, data, "--resize=40")


@needs_shared
def test_labels_of_the_sample_are_rebuilt_from_real_kitti_labels(tmp_path, capsys):
    root = tmp_path / "sample"
    shutil.copytree(SHARED / "refer_kitti_sample", root, copy_function=shutil.copyfile)
    shutil.rmtree(root / "KITTI/labels_with_ids")
    splits = "data.reader.splits={train:[],val:['0016'],test:['0005']}"
    source = f"--labels-from={SHARED}/kitti/label_02"
    assert run(["prepare", "data=refer_kitti", f"data.root={root}", splits, source, "--cut"]) == 0
    for path in sorted((SHARED / "refer_kitti_sample/KITTI/labels_with_ids").rglob("*.txt")):
        theirs = [list(map(float, line.split())) for line in path.open()]
        mine = root / path.relative_to(SHARED / "refer_kitti_sample")
        ours = [list(map(float, line.split())) for line in mine.open()]
        assert sorted(theirs) == [[round(v, 6) for v in row] for row in sorted(ours)]
    lists = (root / "seqmaps/test.txt").read_text().split()
    assert "0005+black-cars-in-the-left" in lists
    published = set((SHARED / "seqmaps/kitti-1.txt").read_text().split())
    assert len(published & set(lists)) >= 4  # sentences that the sample shares with the published test set


def test_what_is_there_already_is_not_written_over(data, capsys):
    mine = world.text(data / "seqmaps/test.txt", "0005+a-list-of-my-own\n")
    with pytest.raises(InputError, match=r"seqmaps/test.txt: the file is there already"):
        do(capsys, data)
    assert mine.read_text() == "0005+a-list-of-my-own\n"
    world.images(data / "KITTI/training/image_02/0001", size=(200, 100))
    world.images(data / "images_20/0001", size=(200, 100))
    before = world.snapshot(data / "images_20")
    for form in ("png", "jpg"):
        with pytest.raises(InputError, match=r"images_20/0001/.*png: the file is there already"):
            do(capsys, data, "--resize=20", f"--format={form}")
    assert world.snapshot(data / "images_20") == before


def test_another_height_or_format_does_not_undo_the_first(data, capsys):
    world.images(data / "KITTI/training/image_02/0001", size=(200, 100))
    do(capsys, data, "--resize=20")
    do(capsys, data, "--resize=30")
    assert "everything was there already" in do(capsys, data, "--resize=20")
    do(capsys, data, "--resize=20", "--format=png")
    assert sorted(p.name for p in (data / "images_20/0001").iterdir()) == [f"{k:06d}.png" for k in range(6)]


def test_resized_images_keep_the_boxes_where_sizes_come_from_the_images(tmp_path, capsys):
    root = world.refer_kitti(tmp_path / "data")
    world.images(root / "KITTI/training/image_02/0001", size=(200, 100))
    arguments = ["data=refer_kitti", f"data.root={root}", "data.reader.splits={train:['0001'],val:[],test:[]}"]
    assert run(["prepare", *arguments, "data.reader.sizes=images", "--resize=20"]) == 0
    advice = shlex.split(capsys.readouterr().out.split("use them with: ")[1])
    _, reader, _ = open_data([*arguments, *advice])
    video = reader.read("0001")
    world.assert_is_the_world(video)
    with Image.open(video.frames.paths[0]) as image:
        assert image.size == (40, 20)


def test_labels_from_nowhere_or_for_nothing_are_refused(data, tmp_path, capsys):
    with pytest.raises(InputError, match="labels cannot be made from --labels-from"):
        do(capsys, data, "--labels-from", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="labels cannot be made from --labels-from"):
        run(["prepare", "data=kitti", f"data.root={tmp_path}", "--labels-from", str(tmp_path)])
