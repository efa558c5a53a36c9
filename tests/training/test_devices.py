"""What the machine offers: fast precision from the processor's description, peak memory."""

import subprocess
import sys

import pytest

from flexhook.training.devices import fast_precision


@pytest.mark.parametrize(("flags", "precision"), [
    ("flags : fpu avx512f avx512_bf16 amx_tile\n", "bf16-mixed"), ("flags : fpu avx512f avx512_bf16x\n", "32-true")])
def test_bfloat16_only_where_the_processor_multiplies_it(tmp_path, flags, precision):
    (tmp_path / "cpuinfo").write_text(flags)
    assert fast_precision("cpu", tmp_path / "cpuinfo") == precision
    assert fast_precision("cpu", tmp_path / "missing") == "32-true"


def test_peak_memory_grows_with_what_is_used_and_can_be_reset():
    """In a process of its own, whose memory no other test has used."""
    program = """if True:
        import numpy as np, torch
        from flexhook.memory import peak_memory, reset_peak_memory
        reset_peak_memory()
        before = peak_memory(torch.device("cpu"))
        block = np.ones(64 << 20, np.uint8)
        assert 60 << 20 < peak_memory() - before < 200 << 20
        del block
        reset_peak_memory()
        assert peak_memory() < before + (32 << 20)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
