"""The cache of read videos: same data, never stale, never half-written, broken entries are made anew."""

import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import layouts
import numpy as np
import pytest
import small_world as world

from flexhook.datasets.cache import CachedReader
from flexhook.datasets.dataset import Dataset
from flexhook.datasets.part_code import code_of, without_description
from flexhook.datasets.parts import Truth
from flexhook.datasets.reader import load
from flexhook.errors import InputError
from flexhook.structures import TrackSet
from flexhook.structures.disk_cache import cache_folder

SPLITS, SIZES = {"train": ["0001"]}, {"default": list(world.SIZE)}


class Counting(Dataset):
    """A reader that counts how often it reads."""

    reads = 0

    def read(self, *args, **kwargs):
        type(self).reads += 1
        return super().read(*args, **kwargs)


def counting(tmp_path, **options):
    return layouts.refer_kitti(tmp_path / "data", SPLITS, options.pop("sizes", SIZES), make=Counting, **options)


@pytest.fixture
def cached(tmp_path):
    Counting.reads = 0

    def make(**options):
        return CachedReader(counting(tmp_path, **options), tmp_path / "cache")

    world.refer_kitti(tmp_path / "data")
    return make


def test_the_second_reading_comes_from_the_cache_and_is_equal(cached):
    first, second = cached().read("0001"), cached().read("0001")
    assert Counting.reads == 1
    world.assert_is_the_world(second)
    assert second.expressions == first.expressions
    assert second.frames.paths == first.frames.paths
    assert (first.labels != second.labels).nnz == 0
    for name in ("frame", "identity", "box", "category", "confidence"):
        one, two = getattr(first.truth, name), getattr(second.truth, name)
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)


def touch(path, content):
    path.write_text(content)
    stamp = time.time_ns() + 1_000_000_000
    os.utime(path, ns=(stamp, stamp))


def test_a_changed_label_is_read_again(cached, tmp_path):
    cached().read("0001")
    label = tmp_path / "data/KITTI/labels_with_ids/image_02/0001/000004.txt"
    touch(label, label.read_text().replace("1 7", "1 8"))
    with pytest.raises(InputError, match="identity 7"):  # the expressions still name 7
        cached().read("0001")
    assert Counting.reads == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda data: (data / "expression/0001/people.json").unlink(),
        lambda data: (data / "KITTI/training/image_02/0001/000005.png").unlink(),
        lambda data: touch(data / "KITTI/labels_with_ids/image_02/0001/000003.txt", ""),
    ],
)
def test_added_and_removed_files_are_noticed(cached, tmp_path, change):
    cached().read("0001")
    change(tmp_path / "data")
    cached().read("0001")
    assert Counting.reads == 2


def test_other_settings_are_another_entry(cached):
    cached().read("0001")
    assert cached(sizes={"default": [200, 400]}).read("0001").truth.box.max() == pytest.approx(244)
    assert Counting.reads == 2


@pytest.mark.parametrize("name", ["box.npy", "meta.json", "checksums.json"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "other"])
def test_a_broken_entry_is_made_anew(cached, name, damage):
    reader = cached()
    reader.read("0001")
    file = reader.entry("0001") / name
    data = file.read_bytes()
    file.write_bytes({"truncated": data[:-10], "empty": b"", "other": b"not an array"}[damage])
    world.assert_is_the_world(cached().read("0001"))
    assert Counting.reads == 2
    world.assert_is_the_world(cached().read("0001"))
    assert Counting.reads == 2


def test_no_changed_byte_of_an_entry_changes_what_is_read(cached):
    reader = cached()
    reader.read("0001")
    for file in sorted(reader.entry("0001").iterdir()):
        whole = file.read_bytes()
        for at in range(7, len(whole), len(whole) // 8):
            data = bytearray(whole)
            data[at] ^= 0x55
            file.write_bytes(data)
            world.assert_is_the_world(cached().read("0001"))
    assert Counting.reads > 60


def test_warnings_of_the_reading_are_repeated(cached, tmp_path, caplog):
    path = tmp_path / "data/expression/0001/people.json"
    touch(path, path.read_text().replace("[3]", "[3, 4]"))
    for reads in (1, 1):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            cached(on_missing_referent="drop").read("0001")
        assert [r.getMessage() for r in caplog.records] == [
            "0001: 2 of 9 referents, in 1 of 3 expressions, have no label and are left out"
        ]
        assert Counting.reads == reads


def test_a_failing_reading_leaves_no_entry(cached, tmp_path):
    (tmp_path / "data/expression/0001/people.json").write_text("{")
    with pytest.raises(InputError):
        cached().read("0001")
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_a_folder_that_cannot_be_written_is_only_a_warning(cached, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file, not a folder")
    with caplog.at_level(logging.WARNING):
        world.assert_is_the_world(cached().read("0001"))
    assert "the folder cannot be made" in caplog.text
    assert "The next run reads the files of 0001 again" in caplog.text


def test_the_environment_names_the_folder(monkeypatch, tmp_path):
    assert cache_folder() is None
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FLEXHOOK_CACHE")
    assert cache_folder().parts[-2:] == (".cache", "flexhook")


def test_loading_a_split_uses_the_cache(monkeypatch, tmp_path):
    world.refer_kitti(tmp_path / "data")
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    Counting.reads = 0
    for _ in range(2):
        world.assert_is_the_world(load(CachedReader(counting(tmp_path)), "train")[0])
    assert Counting.reads == 1
    load(counting(tmp_path), "train")
    assert Counting.reads == 2


def test_the_last_videos_stay_in_memory_while_no_file_changes(monkeypatch, tmp_path):
    """Without a cache on disk too: evaluation and pictures of a run read no video again."""
    world.refer_kitti(tmp_path / "data")
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
    Counting.reads = 0
    reader = CachedReader(counting(tmp_path))
    first = reader.read("0001")
    assert reader.read("0001") is first
    assert reader.read_expressions("0001") == first.expressions
    assert Counting.reads == 1
    label = tmp_path / "data/KITTI/labels_with_ids/image_02/0001/000000.txt"
    touch(label, label.read_text().replace("0.100000", "0.150000"))
    assert reader.read("0001").truth.box[0, 0] == pytest.approx(30)
    assert Counting.reads == 2


def test_memory_holds_the_last_videos_only(monkeypatch, tmp_path):
    world.refer_kitti(tmp_path / "data")
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
    monkeypatch.setattr("flexhook.datasets.cache.IN_MEMORY", 2)
    Counting.reads = 0
    reader = CachedReader(counting(tmp_path))
    for part in ("expression", "KITTI/training/image_02", "KITTI/labels_with_ids/image_02"):
        for name in ("0002", "0003"):
            (tmp_path / "data" / part / name).symlink_to(tmp_path / "data" / part / "0001")
    for name in ("0001", "0002", "0001", "0003"):
        reader.read(name)
    assert Counting.reads == 3
    reader.read("0001")
    assert Counting.reads == 3
    reader.read("0002")
    assert Counting.reads == 4


def test_expressions_come_from_the_cache_without_reading(cached):
    expected = cached().read("0001").expressions
    assert cached().read_expressions("0001") == expected
    assert Counting.reads == 1


def test_expressions_of_a_video_that_is_not_in_the_cache_need_no_labels(cached):
    assert [e.slug for e in cached().read_expressions("0001")] == ["people", "red-cars", "the-car-in-front"]
    assert Counting.reads == 0


PART = """
from dataclasses import dataclass

from flexhook.datasets.parts import Truth
from flexhook.structures import TrackSet
from {helpers} import shifted


@dataclass
class OneBox(Truth):
    name: str = "boxes"

    def read(self, video, report=None):
        return TrackSet.build([0], [0], [shifted([1.0, 2, 3, 4])])

    def files(self, video):
        return []
"""
RUN = """
import sys

import layouts
import small_world as world
from flexhook.datasets.cache import CachedReader
from {module} import OneBox

made = layouts.refer_kitti(sys.argv[1], {{"train": ["0001"]}}, {{"default": list(world.SIZE)}}, truth=OneBox(),
                           expressions=None)
print(CachedReader(made, sys.argv[2]).read("0001").truth.box[0].tolist())
"""


def test_the_code_of_a_part_its_helpers_and_its_module_count(tmp_path):
    """Each in a fresh process, as runs are; the sources have one size, the entry's files one time."""
    world.refer_kitti(tmp_path / "data")
    path = os.pathsep.join([str(tmp_path), *sys.path])

    def box(module):
        command = [sys.executable, "-B", "-c", RUN.format(module=module), str(tmp_path / "data"), str(tmp_path / "cache")]
        return eval(subprocess.check_output(command, text=True, env=os.environ | {"PYTHONPATH": path}))

    for name in ("a", "b"):
        (tmp_path / f"helpers_{name}.py").write_text("def shifted(box):\n    return [v + 0 for v in box]\n")
        (tmp_path / f"corners_{name}.py").write_text(PART.format(helpers=f"helpers_{name}"))
    assert box("corners_a") == [1, 2, 3, 4]
    (tmp_path / "corners_a.py").write_text(PART.format(helpers="helpers_a").replace("[1.0,", "[0.5,"))
    assert box("corners_a") == [0.5, 2, 3, 4]
    (tmp_path / "helpers_b.py").write_text("def shifted(box):\n    return [v + 9 for v in box]\n")
    assert box("corners_b") == [10, 11, 12, 13]
    (tmp_path / "helpers_b.py").write_text("def shifted(box):\n    return [v + 7 for v in box]\n")
    assert box("corners_b") == [8, 9, 10, 11]
    entries = len(list((tmp_path / "cache/videos").iterdir()))
    assert box("corners_b") == [8, 9, 10, 11]
    assert len(list((tmp_path / "cache/videos").iterdir())) == entries == 4


@dataclass
class Boxes(Truth):
    """A part with another part in it."""

    inner: object = None

    def read(self, video, report=None):
        return TrackSet.build([0], [0], [[1.0, 2, 3, 4]])

    def files(self, video):
        return []


class Plain(Boxes):
    """No dataclass, so that its text is its address."""

    __repr__ = object.__repr__


@pytest.mark.parametrize("part", [Plain(), Boxes(inner=Plain()), Boxes(inner=lambda box: box)])
def test_a_part_without_a_description_is_not_kept_and_told_once(tmp_path, caplog, part):
    world.refer_kitti(tmp_path / "data")
    for _ in range(2):
        caplog.clear()
        reader = CachedReader(counting(tmp_path, truth=part, expressions=None), tmp_path / "cache")
        Counting.reads = 0
        reader.read("0001")
        reader.read("0001")
        assert Counting.reads == 1
        (record,) = caplog.records
        assert "are not kept in the cache: make it a dataclass or define __repr__" in record.getMessage()
        assert ("Plain" in record.getMessage()) != ("lambda" in record.getMessage())
    assert not list(tmp_path.glob("cache/videos/*"))


def test_the_code_of_classes_without_a_source_has_no_description():
    made = type("FromNowhere", (Boxes,), {"__module__": "nowhere_to_be_found"})
    assert without_description(code_of(made())) == "nowhere_to_be_found.FromNowhere"
    assert without_description(code_of(Boxes())) is None
    assert "small" not in code_of(Boxes())
    assert [part.split("=")[0] for part in code_of(Boxes()).split()] == [
        "flexhook.datasets.parts.Truth", f"{__name__}.Boxes"
    ]


def test_several_processes_read_a_video_once(tmp_path):
    """Threads stand for processes: the lock is between readers."""
    world.refer_kitti(tmp_path / "data")

    class Slow(Counting):
        reads = 0

        def read(self, *args, **kwargs):
            time.sleep(0.3)
            return super().read(*args, **kwargs)

    def read():
        made = layouts.refer_kitti(tmp_path / "data", SPLITS, SIZES, make=Slow)
        videos.append(CachedReader(made, tmp_path / "cache").read("0001"))

    videos = []
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(videos) == 4
    assert Slow.reads == 1
    for video in videos:
        world.assert_is_the_world(video)
    assert len(list((tmp_path / "cache/videos").iterdir())) == 1  # no lock is left


def test_processes_divide_the_videos(tmp_path):
    world.refer_kitti(tmp_path / "data")
    for part in ("expression", "KITTI/training/image_02", "KITTI/labels_with_ids/image_02"):
        for name in ("0002", "0003"):
            (tmp_path / "data" / part / name).symlink_to(tmp_path / "data" / part / "0001")
    names, readers, reads = ["0001", "0002", "0003"], [CachedReader(counting(tmp_path), tmp_path / "cache") for _ in "ab"], []
    for rank, reader in enumerate(readers):
        Counting.reads = 0
        reader.fill(names, (rank, 2))
        reads.append(Counting.reads)
    Counting.reads = 0
    for reader in readers:
        for name in names:
            reader.read(name)
    assert (reads, Counting.reads) == ([2, 1], 0)


def test_the_word_off_keeps_nothing(monkeypatch, tmp_path):
    world.refer_kitti(tmp_path / "data")
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    CachedReader(counting(tmp_path), "off").read("0001")
    assert not (tmp_path / "cache").exists()
