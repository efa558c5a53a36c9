"""Atomic files and folders: complete or absent, one message when the disk refuses, nothing left of dead processes."""

import errno
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from flexhook.errors import InputError
from flexhook.structures import files
from flexhook.structures.files import allocate, atomic_folder, atomic_link, atomic_write, create_array


def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError("3 requested and 2 written")])
def test_an_error_while_writing_is_one_message_and_the_old_file_stays(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(InputError, match=r"a\.json: the file cannot be written \(") as caught, atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert ("MB are free. Make room" in str(caught.value)) == (error.errno == errno.ENOSPC)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_real_full_device_is_one_message(tmp_path):
    with pytest.raises(InputError, match=r"b\.txt: the file cannot be written \(No space left on device\).*Expected room"), \
         atomic_write(tmp_path / "b.txt"), open("/dev/full", "wb", buffering=0) as device:
        device.write(b"x")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_rename_or_sync_is_one_message_too(tmp_path, monkeypatch, call):
    monkeypatch.setattr(os, call, lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(InputError, match=r"Read-only file system.*Choose another output folder"), \
         atomic_write(tmp_path / "c") as temporary:
        temporary.write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), atomic_write(tmp_path / "d"):
        open(tmp_path / "source")


def test_file_and_folder_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    calls = []
    synced, renamed = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.readlink(f"/proc/self/fd/{fd}")), synced(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), renamed(*a)))
    with atomic_write(tmp_path / "e") as temporary:
        temporary.write_text("x")
    assert calls == [str(temporary), "rename", str(tmp_path)]
    calls.clear()
    with atomic_write(tmp_path / "e", sync=False) as temporary:
        temporary.write_text("x")
    assert calls == ["rename"]
    with atomic_folder(tmp_path / "f") as work:
        (work / "g").write_text("x")
    assert calls == ["rename", str(work / "g"), str(work), "rename", str(tmp_path)]


def test_a_folder_is_complete_or_absent_and_the_first_one_stays(tmp_path):
    target = tmp_path / "deep" / "set"
    with pytest.raises(RuntimeError, match="stop"), atomic_folder(target) as work:
        (work / "a").write_text("1")
        raise RuntimeError("stop")
    assert list(target.parent.iterdir()) == []
    with atomic_folder(target) as slow:
        (slow / "a").write_text("slow")
        with atomic_folder(target) as fast:
            (fast / "a").write_text("fast")
    assert (target / "a").read_text() == "fast"
    with atomic_folder(target, replace=True) as work:
        (work / "b").write_text("new")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert list(target.parent.iterdir()) == [target]


def test_temporaries_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path):
    code = textwrap.dedent(f"""
        import os, signal, sys
        from flexhook.structures.files import atomic_folder, atomic_write
        with atomic_write("{tmp_path}/a") as file, atomic_folder("{tmp_path}/b") as folder:
            file.write_text("x"), (folder / "y").write_text("y")
            sys.stdout.write("ready"), sys.stdout.flush()
            sys.stdin.read()
    """)
    writers = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout.read(5) == b"ready"
        other_host = tmp_path / ".a.otherhost-1.1-0.tmp"
        other_host.touch()
        writers[0].kill()
        writers[0].wait()
        assert len(list(tmp_path.iterdir())) == 5
        files._remove_stale.cache_clear()
        with atomic_write(tmp_path / "c") as temporary:
            temporary.write_text("c")
        left = {p.name for p in tmp_path.iterdir()}
        assert len(left) == 4
        assert {"c", other_host.name} < left
        assert all(f".{writers[1].pid}-" in name for name in left - {"c", other_host.name})
    finally:
        for writer in writers:
            writer.stdin.close()
            writer.wait()
            writer.stdout.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [other_host.name, "a", "b", "c"]


def test_an_array_takes_its_disk_space_before_it_is_filled(tmp_path):
    array = create_array(tmp_path / "a.npy", np.float32, (1000, 300))
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= array.nbytes
    array[:] = 2
    array.flush()
    assert np.load(tmp_path / "a.npy").sum() == 600_000
    assert create_array(tmp_path / "empty.npy", np.uint8, (0, 4)).shape == (0, 4)


def test_a_file_system_without_preallocation_is_filled_by_writing(tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    path = tmp_path / "a"
    path.write_bytes(b"content")
    with open(path, "r+b") as file:
        allocate(file.fileno(), (1 << 20) + 3)
    assert path.read_bytes() == b"content".ljust((1 << 20) + 3, b"\0")
    assert path.stat().st_blocks * 512 > 1 << 20


def test_no_room_for_an_array_is_one_message_and_nothing_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"set: the folder cannot be written \(No space left.*room for it on the disk"), \
         atomic_folder(tmp_path / "set") as work:
        create_array(work / "a.npy", np.uint8, (10,))
    assert list(tmp_path.iterdir()) == []


def test_a_link_replaces_the_one_before_and_what_dead_processes_left(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        atomic_link(tmp_path / "latest", name)
        assert os.readlink(tmp_path / "latest") == name
    left = tmp_path / f".latest.{files._host()}.{2**22 + 1}-0.tmp"
    left.symlink_to("a")
    files._remove_stale.cache_clear()
    atomic_link(tmp_path / "latest", "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "latest"]


def test_a_link_that_cannot_be_made_is_one_message_and_leaves_nothing(tmp_path):
    (tmp_path / "latest").mkdir()
    with pytest.raises(InputError, match="latest: the link cannot be made"):
        atomic_link(tmp_path / "latest", ".")
    assert [p.name for p in tmp_path.iterdir()] == ["latest"]
