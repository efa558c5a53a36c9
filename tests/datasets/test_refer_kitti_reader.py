"""The raw Refer-KITTI layout: what is read, and what is refused with file and line."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import layouts
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from flexhook.datasets.reader import load
from flexhook.errors import ConfigError, InputError

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT.parent / "shared" / "data" / "refer_kitti_sample"
TRACKS = ROOT.parent / "shared" / "data" / "kitti" / "tracks" / "pointrcnn_bytetrack"


class Dataset:
    """A small dataset on disk: video 0001 of four frames (one without a label file), three objects, two expressions."""

    def __init__(self, root):
        self.root = root
        for frame in range(4):
            self.image(frame)
        self.label(0, "1 0 0.1 0.2 0.25 0.5\n0 3 0.5 0.5 0.1 0.2\n")
        self.label(1, "1 0 0.125 0.2 0.25 0.5\n")
        self.label(3, "")
        self.expression("red-cars", {"label": {"0": [0], "1": [0]}, "ignore": [], "video_name": "0001", "sentence": "red cars"})
        self.expression("people", {"label": {"0": [3]}, "sentence": "people", "tags": ["unseen_paraphrase"]})

    def image(self, frame, size=(20, 10)):
        path = self.root / "KITTI/training/image_02/0001" / f"{frame:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (frame, 0, 0)).save(path)
        return path

    def label(self, frame, text):
        path = self.root / "KITTI/labels_with_ids/image_02/0001" / f"{frame:06d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def expression(self, slug, content):
        path = self.root / "expression/0001" / f"{slug}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path

    def read(self, **options):
        options = {"splits": {"train": ["0001"]}, "sizes": {"default": [100, 200]}, **options}
        return layouts.refer_kitti(self.root, **options).read("0001")


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path)


def test_a_video_has_all_its_parts(dataset):
    video = dataset.read()
    assert (video.name, video.size, video.num_frames) == ("0001", (100, 200), 4)
    assert video.truth.frame.tolist() == [0, 0, 1]
    assert video.truth.identity.tolist() == [0, 3, 0]
    assert video.truth.box == pytest.approx(np.array([[20, 20, 70, 70], [100, 50, 120, 70], [25, 20, 75, 70]]))
    assert [video.truth.categories[c] for c in video.truth.category] == ["car", "pedestrian", "car"]
    assert [(e.sentence, e.slug, e.tags) for e in video.expressions] == [
        ("people", "people", ("unseen_paraphrase",)),
        ("red cars", "red-cars", ()),
    ]
    assert video.labels.toarray().tolist() == [[False, True], [True, False], [False, True]]
    assert video.frames.read(2)[0, 0].tolist() == [2, 0, 0]


def test_boxes_may_be_given_by_their_centre(dataset):
    assert dataset.read(truth_origin="centre").truth.box[0] == pytest.approx([-5, -5, 45, 45])


def test_first_frames_are_configuration(dataset):
    (dataset.root / "expression/0001/people.json").unlink()
    dataset.expression("red-cars", {"label": {"1": [0], "2": [0]}, "sentence": "red cars"})
    video = dataset.read(expressions_first_frame=1)
    assert video.labels.toarray()[:, 0].tolist() == [True, False, True]
    with pytest.raises(InputError, match="before the first frame 1"):
        dataset.read(truth_first_frame=1)


def test_a_missing_image_is_an_error_only_when_it_is_read(dataset):
    (dataset.root / "KITTI/training/image_02/0001/000001.png").unlink()
    video = dataset.read()
    assert video.num_frames == 4
    with pytest.raises(InputError, match="does not exist"):
        video.frames.read(1)


def test_a_dataset_without_images_ends_with_its_last_label(dataset):
    video = dataset.read(images=None)
    assert video.num_frames == 2
    with pytest.raises(InputError):
        video.frames.read(0)


def test_jpeg_and_hidden_files(dataset):
    folder = dataset.root / "KITTI/training/image_02/0001"
    (folder / "000003.png").unlink()
    Image.new("RGB", (20, 10)).save(folder / "000003.JPG")
    (folder / ".DS_Store").write_text("x")
    assert dataset.read().frames.name(3).endswith("000003.JPG")
    Image.new("RGB", (20, 10)).save(folder / "3.png")
    with pytest.raises(InputError, match="two files hold frame"):
        dataset.read()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1 5 0.1 0.2 0.25", "5 columns"),
        ("1 5 0.1 0.2 0.25 0.5 1", "7 columns"),
        ("1 5 0.1 nan 0.25 0.5", "NaN"),
        ("1 5 0.1 0.2 0 0.5", "0 wide"),
        ("1 5 0.1 0.2 0.25 -0.5", "-0.5 high"),
        ("1 5 120 20 30 40", "not in fractions"),
        ("1 5.5 0.1 0.2 0.25 0.5", "identity is 5.5"),
        ("1 -1 0.1 0.2 0.25 0.5", "identity is -1"),
        ("-1 5 0.1 0.2 0.25 0.5", "class is -1"),
        ("car 5 0.1 0.2 0.25 0.5", "not a number"),
        ("1 0 0.5 0.2 0.25 0.5", "identity 0 occurs twice"),
        ("1,5,0.1,0.2,0.25,0.5", "not a number"),
    ],
)
def test_a_bad_label_is_one_message_with_file_and_line(dataset, row, words):
    path = dataset.label(1, f"1 0 0.125 0.2 0.25 0.5\n{row}\n")
    with pytest.raises(InputError, match=words) as error:
        dataset.read()
    assert (error.value.file, error.value.line) == (str(path), 2)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("", 1, "not valid JSON"),
        ('{"label": {\n"0": [0],\n"1": [', 3, "not valid JSON"),
        ("[]", 1, "list, not an object"),
        ('{"label": {"0": [0]}}', 1, "no sentence"),
        ('{"label": {"0": [0]},\n"sentence": " "}', 2, "the sentence is"),
        ('{"label": {"0": [0]},\n"sentence": 3}', 2, "the sentence is 3"),
        ('{"sentence": "red cars"}', 1, "no label"),
        ('{"sentence": "red cars",\n"label": [0]}', 2, "label is a list"),
        ('{"sentence": "red cars",\n"label": {\n"0": 0}}', 3, "identities of frame 0"),
        ('{"sentence": "red cars",\n"label": {\n"0": ["0"]}}', 3, "identities of frame 0"),
        ('{"sentence": "red cars",\n"label": {\n"0": [true]}}', 3, "identities of frame 0"),
        ('{"sentence": "red cars",\n"label": {\n"0": [-1]}}', 3, "identities of frame 0"),
        ('{"sentence": "red cars",\n"label": {\n"0": [0.0]}}', 3, "identities of frame 0"),
        ('{"sentence": "red cars",\n"label": {\n"0": [NaN]}}', 1, "NaN is not a JSON number"),
        ('{"sentence": "red cars",\n"label": {\n"-1": [0]}}', 3, "not a whole number"),
        ('{"sentence": "red cars",\n"label": {\n"0.5": [0]}}', 3, "not a whole number"),
        ('{"sentence": "red cars",\n"label": {\n"0": [0],\n"0": [3]}}', 4, "occurs twice"),
        ('{"sentence": "red cars",\n"label": {\n"0": [0],\n"00": [3]}}', 4, "frame 0 occurs twice"),
        ('{"sentence": "red cars",\n"label": {\n"0": [0],\n"1": [7]}}', 4, "identity 7 in frame 1"),
        ('{"sentence": "red cars",\n"label": {\n"0": [0],\n"4": [0]}}', 4, "frame 4, the last one of video 0001 is 3"),
        ('{"sentence": "red cars", "label": {}, "tags": "unseen"}', 1, "tags"),
        ("[" * 100_000, 1, "not usable JSON"),
    ],
)
def test_a_bad_expression_is_one_message_with_file_and_line(dataset, content, line, words):
    path = dataset.expression("red-cars", content)
    with pytest.raises(InputError, match=words) as error:
        dataset.read()
    assert (error.value.file, error.value.line) == (str(path), line)


@pytest.mark.parametrize("folder", ["KITTI/training/image_02/0001", "KITTI/labels_with_ids/image_02/0001", "expression/0001"])
def test_a_missing_folder_is_named(dataset, folder):
    (dataset.root / folder).rename(dataset.root / "elsewhere")
    with pytest.raises(InputError, match="does not exist") as error:
        dataset.read()
    assert error.value.file == dataset.root / folder


def test_labels_beyond_the_last_image_are_refused(dataset):
    dataset.label(7, "1 0 0.1 0.2 0.25 0.5\n")
    with pytest.raises(InputError, match="go on to frame 7"):
        dataset.read()


def test_missing_referents_can_be_dropped_with_one_warning(dataset, caplog):
    dataset.expression("red-cars", {"label": {"0": [0, 8], "1": [9], "2": [0]}, "sentence": "red cars"})
    with caplog.at_level(logging.WARNING):
        video = dataset.read(on_missing_referent="drop")
    assert video.labels.sum() == 2
    assert [r.getMessage() for r in caplog.records] == [
        "0001: 3 of 5 referents, in 1 of 2 expressions, have no label and are left out"
    ]


def test_a_video_that_is_not_there_is_left_out_with_a_warning_or_refused(dataset, caplog):
    splits, sizes = {"train": ["0001", "0009"], "test": ["0011"]}, {"default": [100, 200]}
    reader = layouts.refer_kitti(dataset.root, splits, sizes)
    with caplog.at_level(logging.WARNING):
        assert reader.video_names("train") == ["0001"]
    assert "1 of the 2 videos of split train are not on disk: 0009" in caplog.text
    with pytest.raises(InputError, match="0011"):
        reader.video_names("test")
    with pytest.raises(InputError, match="0009"):
        layouts.refer_kitti(dataset.root, splits, sizes, on_missing_video="error").video_names("train")
    with pytest.raises(ConfigError, match="split 'tset'"):
        reader.video_names("tset")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"splits": {"train": [5]}}, "quotes"),
        ({"splits": {"train": "0001"}}, "a list"),
        ({"splits": {"train": ["0001", "0001"]}}, "twice"),
        ({"sizes": {"default": [100]}}, "height, width"),
        ({"sizes": {}}, "size of video 0001"),
        ({"images_pattern": "{video}.png"}, "no {frame}"),
        ({"truth_path": "{vidio}/{frame}.txt"}, "malformed"),
        ({"truth_origin": "corner"}, "truth.origin"),
    ],
)
def test_a_wrong_configuration_is_one_message(dataset, options, words):
    with pytest.raises(ConfigError, match=words):
        dataset.read(**options)


def test_files_name_everything_that_reading_depends_on(dataset):
    files = layouts.refer_kitti(dataset.root, {"train": ["0001"]}, {"default": [1, 2]}).files("0001")
    assert [str(f.relative_to(dataset.root)) for f in files] == [
        "KITTI/training/image_02/0001",
        *(f"KITTI/labels_with_ids/image_02/0001/00000{k}.txt" for k in (0, 1, 3)),
        "expression/0001/people.json",
        "expression/0001/red-cars.json",
    ]


def test_the_data_rooms_do_not_import_torch():
    code = "import sys, flexhook.datasets.dataset, flexhook.datasets.mot; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the Refer-KITTI sample is not beside this checkout")
def test_the_sample_loads_by_its_published_configuration():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose(
            "dataset",
            overrides=[
                "data=refer_kitti_v2",
                f"data.root={SAMPLE}",
                f"tracker.root={TRACKS}",
                "tracker.beyond_end=drop",
            ]
        )
    reader, tracker = instantiate(config.data.reader), instantiate(config.tracker)
    (test,) = load(reader, "test")
    (val,) = load(reader, "val")
    assert (test.name, test.size, test.num_frames) == ("0005", (375, 1242), 40)
    assert (len(test.truth), len(test.expressions), int(test.labels.sum())) == (129, 27, 1327)
    assert (val.name, val.size, len(val.truth), len(val.expressions)) == ("0016", (370, 1224), 572, 55)
    assert len(tracker.track(test)) == 115
    assert all(e.slug == e.sentence.replace(" ", "-") for e in test.expressions)
