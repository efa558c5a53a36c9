"""Locks between processes: one holder at a time, free when it is killed, and no file is left."""

import os
import signal
import subprocess
import sys
import threading
import time

from flexhook.structures import locks
from flexhook.structures.locks import locked

HOLD = "import sys, time\nfrom pathlib import Path\nfrom flexhook.structures.locks import locked\n" \
       "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"


def test_one_holder_at_a_time_and_no_file_is_left(tmp_path):
    holders, most = [], []

    def hold():
        for _ in range(10):
            with locked(tmp_path / "folder/entry"):
                holders.append(1)
                most.append(len(holders))
                time.sleep(0.001)
                holders.pop()

    threads = [threading.Thread(target=hold) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 50
    assert list((tmp_path / "folder").iterdir()) == []


def test_the_lock_of_a_killed_process_is_free_and_its_file_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        locks._remove_stale.cache_clear()
        with locked(tmp_path / "b"):
            assert sorted(os.listdir(tmp_path)) == [".a.lock", ".b.lock"]  # held: not stale
        holder.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == [".a.lock"]
    locks._remove_stale.cache_clear()
    with locked(tmp_path / "b"):
        assert os.listdir(tmp_path) == [".b.lock"]
    with locked(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []
