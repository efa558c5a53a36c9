"""A user's own decoder, in their own package and written from scratch, joins by one yaml file and learns."""

import json

import pytest
from toy_world import put, start

DECODER = """
import torch
from torch import nn

from flexhook.methods.two_stage.decoder_base import Decoder


class MyDecoder(Decoder):
    '''The query attends to the words; then the sentence attends to what the window and its reference points show.'''

    def __init__(self, width, num_scales, num_frames=4):
        super().__init__(width, num_scales, num_frames)
        self.text_norm = nn.LayerNorm(width)
        self.text_attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(num_scales))
        self.attention = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(num_scales))
        self.head = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(3 * width), nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, 2))
            for _ in range(num_scales)
        )

    def forward(self, queries, text, reference, trajectory):
        windows, expressions = text.mask.shape[:2]
        query = queries.flatten(0, 1)[:, None]
        words = self.text_norm(text.tokens + text.position).flatten(0, 1)
        sentence = self.text_attention(query, words, words, key_padding_mask=~text.mask.flatten(0, 1))[0]
        logits = []
        for s, window in enumerate(trajectory):
            tokens = window[:, None].expand(-1, expressions, -1, -1)
            if reference is not None:
                tokens = torch.cat([tokens, reference[s]], 2)
            tokens = self.norm[s](tokens).flatten(0, 1)
            query = query + self.attention[s](sentence + query, tokens, tokens)[0]
            pair = torch.cat([query, sentence, query * sentence], -1)
            logits.append(self.head[s](pair).view(windows, expressions, 2))
        return torch.stack(logits, 1)
"""

SETTINGS = [  # what it learns from in few steps
    "optim.epochs=30", "optim.optimizer.lr=1e-3", "optim.milestones=[20,26]", "alignment=cosine", "grid=[8,24]",
    "num_reference_points=2", "pictures=false",
]  # fmt: skip


def run(argv, folder):
    with start(argv, folder) as process:
        said = process.communicate(timeout=1800)[0]
    assert process.returncode == 0, said


@pytest.mark.slow
def test_a_decoder_of_another_package_is_trained_by_one_yaml_file(tmp_path, monkeypatch):
    put(tmp_path / "package/mypackage/__init__.py").write_text(DECODER)
    put(tmp_path / "my_conf/ablation/decoder/mine.yaml").write_text(
        "# @package _global_\ndecoder:\n  _target_: mypackage.MyDecoder\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/package", prepend=":")
    monkeypatch.setenv("FLEXHOOK_CACHE", str(tmp_path / "cache"))
    run(["train", "--config-dir", tmp_path / "my_conf", "experiment=synthetic_tiny", "ablation=decoder/mine", *SETTINGS,
         f"hydra.run.dir={tmp_path}/run"], tmp_path)
    assert "mypackage.MyDecoder" in (tmp_path / "run/config.yaml").read_text()
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["test/HOTA"] >= metrics["accept_all/HOTA"] + 6
