"""The disk cache: made once, shared, verified, made anew when damaged, off when asked."""

import logging
import multiprocessing
import pickle

import numpy as np
import pytest

from flexhook.errors import InputError
from flexhook.structures import disk_cache
from flexhook.structures.digests import digest
from flexhook.structures.disk_cache import DiskCache, cache_folder


def write(writer):
    writer.meta = {"name": "ä"}
    writer.create("big", np.float32, (3, 4))[:] = np.arange(12).reshape(3, 4)
    writer.save("small", np.array([1, 2]))


def test_an_entry_is_made_once_and_read_mapped(tmp_path):
    cache = DiskCache(tmp_path)
    path = cache.path("video", "key")
    assert cache.find(path) is None
    made, new = cache.fetch(path, write)
    found, again = cache.fetch(path, None)
    assert (new, again) == (True, False)
    assert isinstance(found.arrays["big"], np.memmap)
    assert not found.arrays["big"].flags.writeable
    for entry in (made, found, pickle.loads(pickle.dumps(found))):
        assert entry.meta == {"name": "ä"}
        np.testing.assert_array_equal(entry.arrays["big"], np.arange(12).reshape(3, 4))
        np.testing.assert_array_equal(entry.arrays["small"], [1, 2])
    assert len(pickle.dumps(found)) < 500
    assert [p.name for p in tmp_path.iterdir()] == [f"video-{digest('key')}"]


@pytest.mark.parametrize("name", ["big.npy", "small.npy", "meta.json", "checksums.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_entry_is_made_anew_with_one_notice(tmp_path, caplog, name, damage):
    cache = DiskCache(tmp_path)
    path = cache.path("video", "key")
    cache.make(path, write)
    assert cache.find(path) is not None  # verified by this process, and verified again after the change
    file = path / name
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data if damage == "flip" else data[:-5]) if damage != "gone" else file.unlink()
    with caplog.at_level(logging.WARNING):
        entry, new = cache.fetch(path, write)
        assert new
        assert not cache.fetch(path, write)[1]
    assert len(caplog.records) == 1
    assert "is damaged" in caplog.text
    np.testing.assert_array_equal(entry.arrays["big"], np.arange(12).reshape(3, 4))
    assert list(tmp_path.iterdir()) == [path]


def test_checksums_are_computed_once_per_process(tmp_path, monkeypatch):
    cache = DiskCache(tmp_path)
    path = cache.path("video", "key")
    cache.make(path, write)
    computed = []
    original = disk_cache._checksum
    monkeypatch.setattr(disk_cache, "_checksum", lambda file: computed.append(file.name) or original(file))
    for _ in range(3):
        assert cache.find(path) is not None
    assert sorted(computed) == ["big.npy", "meta.json", "small.npy"]


def test_of_a_large_file_blocks_from_the_first_to_the_last_are_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_cache, "_BLOCK", 10)
    monkeypatch.setattr(disk_cache, "_BLOCKS", 4)
    file, data = tmp_path / "a", np.zeros(100, np.uint8)
    file.write_bytes(data.tobytes())
    whole, noticed = disk_cache._checksum(file), []
    for at in range(100):
        data[at] = 1
        file.write_bytes(data.tobytes())
        noticed += [at] * (disk_cache._checksum(file) != whole)
        data[at] = 0
    assert noticed == [*range(10), *range(30, 40), *range(60, 70), *range(90, 100)]
    file.write_bytes(data[:-1].tobytes())
    assert disk_cache._checksum(file) != whole


def fill(folder):
    return DiskCache(folder).fetch(DiskCache(folder).path("v", "k"), write)[0].arrays["big"].sum()


def test_several_processes_fill_the_same_entry_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(fill, [tmp_path] * 6) == [66] * 6
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_names_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file")
    with pytest.raises(InputError, match=r"file/v-.*cannot be made.*Set|set cache_dir \(FLEXHOOK_CACHE\)"):
        cache.make(cache.path("v", "k"), write)


def test_a_failure_leaves_nothing(tmp_path):
    def fail(writer):
        write(writer)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        DiskCache(tmp_path).make(DiskCache(tmp_path).path("v", "k"), fail)
    assert list(tmp_path.iterdir()) == []


def test_one_function_chooses_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
    assert cache_folder() is None
    assert cache_folder(tmp_path / "a") == tmp_path / "a"
    monkeypatch.setenv("FLEXHOOK_CACHE", "~/b")
    assert cache_folder() == tmp_path / "b"
    assert cache_folder("off") is None
    monkeypatch.delenv("FLEXHOOK_CACHE")
    assert cache_folder() == cache_folder("~/.cache/flexhook") == tmp_path / ".cache" / "flexhook"


@pytest.mark.parametrize(("one", "two"), [
    (("ab", "c"), ("a", "bc")),
    ((b"ab", b"c"), (b"a", b"bc")),
    ((np.zeros(2, np.int32),), (np.zeros(1, np.int64),)),
    ((np.zeros((1, 2)),), (np.zeros((2, 1)),)),
    (("a",), ("a", "")),
])  # fmt: skip
def test_digests_of_other_parts_differ(one, two):
    assert digest(*one) != digest(*two)
    assert digest(*one) == digest(*one)
    assert len(digest(*one, length=64)) == 64


def test_the_digest_is_sha_256():
    assert digest("abc") == "ba7816bf8f01cfea"
