"""Files of weights are read without running code from them."""

import contextlib
import os
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from yacs.config import CfgNode

from flexhook.encoders.weight_files import read_checkpoint, read_weights
from flexhook.errors import InputError


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Expression:
    """Evaluates an expression when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return eval, (f"open({str(self.file)!r}, 'w')",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", [lambda f: Command(f"touch {f}"), Expression])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path, kind, zipped):
    trap = tmp_path / "trap"
    content = {"model": {"w": torch.ones(2)}, "config": kind(trap)}
    torch.save(content, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"bad\.pth: reading it would run code: it names (posix\.system|eval)"):
        read_checkpoint(tmp_path / "bad.pth")
    assert not trap.exists()
    pickle.loads(pickle.dumps(content))
    assert trap.exists()  # the trap works


def test_code_inside_a_configuration_is_refused(tmp_path):
    config = CfgNode({"A": 1})
    dict.__setitem__(config, "B", Command(f"touch {tmp_path / 'trap'}"))
    torch.save({"model": {"w": torch.ones(2)}, "config": config}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match="would run code"):
        read_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "trap").exists()


def test_a_bare_pickle_is_refused(tmp_path):
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Command(f"touch {tmp_path / 'trap'}")))
    with pytest.raises(InputError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_yacs_configuration_becomes_a_dictionary(tmp_path, zipped):
    config = CfgNode({"TRAIN": CfgNode({"LR": 1e-5, "STEPS": [12, 18], "NAME": "x"})})
    config.freeze()
    content = {
        "model": {"w": torch.arange(3.0)},
        "config": config,
        "max_accuracy": np.float64(0.5),
        "F1": np.float32(0.25),
        "epoch": np.int64(3),
        "lr_scheduler": {"milestones": Counter([12, 18])},
    }
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "c.pth")
    assert read["config"] == {"TRAIN": {"LR": 1e-5, "STEPS": [12, 18], "NAME": "x"}}
    assert not isinstance(read["config"], CfgNode)
    assert (read["max_accuracy"], read["F1"], read["epoch"]) == (0.5, 0.25, 3)
    assert torch.equal(read_weights(tmp_path / "c.pth")["w"], torch.arange(3.0))


def test_yacs_itself_is_not_needed(tmp_path):
    torch.save({"model": {"w": torch.ones(1)}, "config": CfgNode({"A": 1})}, tmp_path / "c.pth")
    code = (
        "import sys; sys.modules['yacs'] = None\n"
        "from flexhook.encoders.weight_files import read_checkpoint\n"
        f"assert read_checkpoint({str(tmp_path / 'c.pth')!r})['config'] == {{'A': 1}}\n"
    )
    assert os.spawnv(os.P_WAIT, os.sys.executable, [os.sys.executable, "-c", code]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable checkpoint"),
        (b"no pickle at all", "not a checkpoint"),
        (b"PK\x03\x04 cut short", "not a readable checkpoint"),
    ],
)
def test_broken_files_are_told(tmp_path, content, message):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path / "w.pth")
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="not a safetensors file"):
        read_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_bytes_are_told_whatever_they_hit(tmp_path, zipped):
    torch.save({"model": {"w": torch.ones(3)}, "epoch": 3}, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    whole, rng = (tmp_path / "c.pth").read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[int(rng.integers(min(len(whole), 400)))] = int(rng.integers(256))
        (tmp_path / "c.pth").write_bytes(damaged)
        with contextlib.suppress(InputError):
            assert all(isinstance(t, torch.Tensor) for t in read_weights(tmp_path / "c.pth").values())


def test_a_folder_without_weights_is_told(tmp_path):
    with pytest.raises(InputError, match=r"model\.safetensors: the file does not exist"):
        read_weights(tmp_path)


def test_files_without_tensors_are_told(tmp_path):
    torch.save({"epoch": 3, "model": 5}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="no state dict in it but entries epoch, model"):
        read_weights(tmp_path / "w.pth")
    with pytest.raises(InputError, match="does not exist"):
        read_weights(tmp_path / "no.pth")
    with pytest.raises(InputError, match="does not exist"):
        read_weights(tmp_path / "no.safetensors")
