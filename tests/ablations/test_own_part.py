"""A user's own decoder, in their own package, joins by one yaml file."""

import json

import pytest
from toy_world import put, start

DECODER = """
from torch import nn
from flexhook.methods.flexhook.decoder import PairwiseCorrespondenceDecoder

class MyDecoder(nn.Module):
    def __init__(self, width, num_scales, num_frames=4):
        super().__init__()
        self.inner = PairwiseCorrespondenceDecoder(width, num_scales, num_frames)
        self.text_memory, self.reference_memory = self.inner.text_memory, self.inner.reference_memory
        self.trajectory_memory = self.inner.trajectory_memory

    def forward(self, *given, **named):
        return self.inner(*given, **named)
"""


@pytest.mark.slow
def test_a_decoder_of_another_package_is_trained_by_one_yaml_file(tmp_path, monkeypatch):
    put(tmp_path / "package/mypackage/__init__.py").write_text(DECODER)
    put(tmp_path / "my_conf/ablation/decoder/mine.yaml").write_text(
        "# @package _global_\ndecoder:\n  _target_: mypackage.MyDecoder\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/package", prepend=":")
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    argv = ["train", "--config-dir", tmp_path / "my_conf", "experiment=synthetic_tiny", "ablation=decoder/mine",
            "pictures=false", "optim.epochs=1", f"hydra.run.dir={tmp_path}/run"]
    with start(argv, tmp_path) as process:
        said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test/HOTA"] >= 0
    assert "mypackage.MyDecoder" in (tmp_path / "run/config.yaml").read_text()
