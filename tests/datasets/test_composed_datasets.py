"""Datasets are composed of parts: a layout of one's own is a part and a yaml, and sources of expressions are merged."""

import json
import sys

import layouts
import pytest
import small_world as world

from flexhook.commands.data import run
from flexhook.errors import InputError

SPLITS, SIZES = {"train": ["0001"]}, {"default": list(world.SIZE)}
SAME_SLUG = {"light colored cars": {0: [0]}, "light-colored cars": {1: [0], 4: [7]}}


def referents(video):
    """(slug, {frame: identities}) by sentence."""
    out = {}
    for k, expression in enumerate(video.expressions):
        rows = video.labels.toarray()[:, k].nonzero()[0]
        found = {}
        for frame, identity in zip(video.truth.frame[rows].tolist(), video.truth.identity[rows].tolist(), strict=True):
            found.setdefault(frame, []).append(identity)
        out[expression.sentence] = expression.slug, found
    return out


def two_sentences_with_one_slug(root, files=()):
    """labels.json names both sentences; ``files`` states sentences that have an expression file, all with one frame."""
    world.ikun(root)
    content = json.loads((root / "labels.json").read_text())
    for sentence, of_frame in SAME_SLUG.items():
        for frame, identities in of_frame.items():
            for identity in identities:
                content["0001"][str(identity)][str(frame)]["expression_raw"].append(sentence)
    world.text(root / "labels.json", content)
    for sentence in files:
        label = {"label": {"2": [0]}, "sentence": sentence}
        world.text(root / "expression/0001/light-colored-cars.json", label)
    return root


def test_two_sentences_with_one_slug_are_two_expressions_with_their_own_referents(tmp_path):
    two_sentences_with_one_slug(tmp_path)
    found = referents(layouts.ikun(tmp_path, SPLITS, SIZES).read("0001"))
    assert found["light colored cars"] == ("light-colored-cars", {0: [0]})
    assert found["light-colored cars"] == ("light-colored-cars-2", {1: [0], 4: [7]})
    assert len(found) == 5 and found["red cars"] == ("red-cars", world.SENTENCES["red cars"])


@pytest.mark.parametrize(("stated", "other"), [tuple(SAME_SLUG), tuple(SAME_SLUG)[::-1]])
def test_an_expression_file_belongs_to_the_sentence_that_it_states(tmp_path, stated, other):
    two_sentences_with_one_slug(tmp_path, files=[stated])
    found = referents(layouts.ikun(tmp_path, SPLITS, SIZES).read("0001"))
    assert found[stated] == ("light-colored-cars", SAME_SLUG[stated])
    assert found[other] == ("light-colored-cars-2", SAME_SLUG[other])
    noted = []
    test = layouts.ikun(tmp_path, {"test": ["0001"]}, SIZES).read("0001", lambda kind, error: noted.append((kind, str(error))))
    assert referents(test)[stated] == ("light-colored-cars", SAME_SLUG[stated])
    assert other not in referents(test)
    assert [kind for kind, text in noted if repr(other) in text] == ["no-expression-file"]


def test_a_file_that_states_neither_sentence_belongs_to_the_first_with_its_slug(tmp_path):
    """labels.json may spell a sentence with blanks where the file has hyphens."""
    two_sentences_with_one_slug(tmp_path, files=["light-colored-cars"])
    found = referents(layouts.ikun(tmp_path, SPLITS, SIZES).read("0001"))
    assert found["light-colored-cars"] == ("light-colored-cars", SAME_SLUG["light colored cars"])
    assert found["light-colored cars"] == ("light-colored-cars-2", SAME_SLUG["light-colored cars"])
    assert "light colored cars" not in found


def test_white_space_tells_no_two_sentences_apart(tmp_path):
    world.ikun(tmp_path)
    content = json.loads((tmp_path / "labels.json").read_text())
    content["0001"]["0"]["1"]["expression_raw"] = ["red  cars "]
    world.text(tmp_path / "labels.json", content)
    world.assert_is_the_world(layouts.ikun(tmp_path, SPLITS, SIZES).read("0001"))


def test_expressions_are_read_without_labels(tmp_path):
    world.refer_kitti(tmp_path)
    reader = layouts.refer_kitti(tmp_path, SPLITS, SIZES)
    expected = reader.read("0001").expressions
    (tmp_path / "KITTI/labels_with_ids/image_02/0001/000000.txt").write_text("broken")
    assert reader.read_expressions("0001") == expected
    with pytest.raises(InputError):
        reader.read("0001")


def test_extra_sentences_alone_make_no_video(tmp_path):
    world.refer_kitti(tmp_path)
    world.text(tmp_path / "newsent.json", {"0001": ["blue vans"], "0002": ["blue vans"]})
    reader = layouts.refer_kitti(tmp_path, {"train": ["0001", "0002"]}, SIZES, extra_sentences="newsent.json")
    assert reader.video_names("train") == ["0001"]


PART = '''
from dataclasses import dataclass

from flexhook.datasets.parts import Truth
from flexhook.structures import TrackSet


@dataclass
class CornersFile(Truth):
    path: str

    def read(self, video, report=None):
        rows = [list(map(float, line.split())) for line in (video.root / self.path).read_text().splitlines()]
        return TrackSet.build([r[0] for r in rows], [r[1] for r in rows], [r[2:] for r in rows])

    def files(self, video):
        return [video.root / self.path]
'''
CONFIG = """
name: mine
root: ROOT
reader:
  _target_: flexhook.datasets.dataset.Dataset
  root: ${data.root}
  splits: {train: ["0001"]}
  sizes: {default: [100, 200]}
  truth: {_target_: corners_layout.CornersFile, path: corners.txt}
  expressions: {_target_: flexhook.datasets.expression_folder.ExpressionFolder}
  images:
    _target_: flexhook.datasets.naming.FramePattern
    pattern: KITTI/training/image_02/{video}/{frame:06d}.{ext}
"""


def test_a_new_layout_is_one_part_and_a_yaml(tmp_path, monkeypatch, capsys):
    world.refer_kitti(tmp_path / "data")
    rows = [f"{f} {i} {x} {y} {x + w} {y + h}\n" for f, i, x, y, w, h, _ in world.ROWS]
    world.text(tmp_path / "data/corners.txt", "".join(rows))
    world.text(tmp_path / "corners_layout.py", PART)
    world.text(tmp_path / "conf/data/mine.yaml", CONFIG.replace("ROOT", f"{tmp_path}/data"))
    monkeypatch.syspath_prepend(tmp_path)
    assert run(["check", "data=mine", f"--config-dir={tmp_path}/conf", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"videos": 1, "frames": 6, "boxes": 6, "expressions": 3}
    sys.modules.pop("corners_layout")
