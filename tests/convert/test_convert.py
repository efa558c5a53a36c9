"""`flexhook convert`: the authors' checkpoints to ours and back."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_architecture import PAIRS
from yacs.config import CfgNode

from flexhook.commands.main import main
from flexhook.convert.architecture import Architecture
from flexhook.convert.published import to_published
from flexhook.parity.golden import read_golden
from flexhook.parity.record import draw_weights
from flexhook.training.build import load_method

FIXTURE = Path(__file__).parents[1] / "fixtures" / "tiny_golden"
CONFIG = str(FIXTURE / "config.json")


def loaded(path):
    """The network of a checkpoint and its configuration."""
    method, config = load_method(path)
    return method.network, config


def others():
    """What else an authors' checkpoint holds."""
    config = CfgNode({"TRAIN": CfgNode({"EPOCHS": 20, "BASE_LR": 3e-5}), "TAG": "default"})
    config.freeze()
    return {"lr_scheduler": {"last_epoch": 19}, "max_accuracy": np.float64(0.5), "F1": 0.25, "epoch": 19, "config": config}


def write(path, state, **changes):
    torch.save({"model": state, **others(), **changes}, path)
    return str(path)


@pytest.fixture
def state():
    return load_file(FIXTURE / "state_dict.safetensors")


def convert(path, *arguments):
    return main(["convert", path, "--architecture", CONFIG, *arguments])


def test_round_trip_without_loss(tmp_path, state, capsys):
    path = write(tmp_path / "a.pth", state)
    assert convert(path) == 0
    out = capsys.readouterr().out
    assert "  head.3.fc2.weight -> decoder.heads.3.fc2.weight (2, 16)" in out
    assert "  backbone.layers.0.downsample.norm.bias -> visual.net.layers.1.downsample.norm.bias (16,)" in out
    assert "330 tensors mapped, none missing, none left over" in out
    assert sum(" -> " in line for line in out.splitlines()) == 330
    assert main(["convert", str(tmp_path / "a.ckpt"), "--to-published", "--out", str(tmp_path / "b.pth")]) == 0
    back = torch.load(tmp_path / "b.pth", weights_only=True)
    assert set(back["model"]) == set(state)
    assert all(torch.equal(back["model"][k], v) and back["model"][k].dtype == v.dtype for k, v in state.items())
    expected = {"lr_scheduler": {"last_epoch": 19}, "max_accuracy": 0.5, "F1": 0.25, "epoch": 19}
    expected["config"] = {"TRAIN": {"EPOCHS": 20, "BASE_LR": 3e-5}, "TAG": "default"}
    assert {k: v for k, v in back.items() if k != "model"} == expected


def test_converted_checkpoint_computes_the_golden_logits(tmp_path, state):
    assert convert(write(tmp_path / "a.pth", state)) == 0
    model, config = loaded(tmp_path / "a.ckpt")
    golden = read_golden(FIXTURE)
    with torch.no_grad():
        logits = model.double()(golden.batch(torch.float64)).logits
    assert np.abs(logits.numpy() - golden.expected["logits"]).max() < 1e-9
    assert list(config.image_size) == [64, 192]
    assert config.scoring


def test_without_conditioning(tmp_path):
    config = json.loads((FIXTURE / "config.json").read_text()) | {"num_reference_points": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = draw_weights(Architecture.from_json(tmp_path / "config.json").build())
    state = to_published(model, model.state_dict()).state
    assert not any(k.startswith("conditional") for k in state)
    path = write(tmp_path / "a.pth", state)
    assert main(["convert", path, "--architecture", str(tmp_path / "config.json")]) == 0
    back, _ = loaded(tmp_path / "a.ckpt")
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in back.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conditional_f_norm.2.bias"), "1 tensors are missing: conditional_f_norm.2.bias"),
        (lambda s: s.pop("text_encoder.embeddings.LayerNorm.weight"), "1 tensors are missing: text_encoder.embeddings"),
        (lambda s: s.update({"head.4.fc1.weight": torch.ones(1)}), "1 tensors are left over: head.4.fc1.weight"),
        (lambda s: s.update({"init_embeds": torch.ones(16, 1, 16)}), "1 tensors are of the wrong shape: init_embeds"),
        (lambda s: s.update({"head.0.fc2.weight": torch.ones(2, 9)}), "of the wrong shape: head.0.fc2.weight (2, 9)"),
        (lambda s: s["backbone.layers.0.blocks.1.attn_mask"].zero_(), "derived and differ from what the model derives"),
        (lambda s: s["backbone.layers.1.blocks.0.attn.rope_t_x"].add_(1), "layers.1.blocks.0.attn.rope_t_x"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, state, capsys, change, message):
    change(state)
    assert convert(write(tmp_path / "a.pth", state)) == 2
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_position_vectors_are_interpolated_with_a_notice(tmp_path, state, capsys):
    ramp = torch.linspace(0, 1, 12)[None, :, None].expand(1, 12, 16).contiguous()
    path = write(tmp_path / "a.pth", state | {"absolute_lang_pos_embed": ramp})
    assert convert(path, "--text-length", "6") == 0
    assert "note: absolute_lang_pos_embed: 12 position vectors interpolated to 6" in capsys.readouterr().out
    model, _ = loaded(tmp_path / "a.ckpt")
    assert model.text.length == 6
    expected = torch.linspace(0, 1, 12).view(6, 2).mean(1)  # halving: between two neighbours
    assert torch.allclose(model.text_position[:, 0], expected, atol=1e-6)


class Command:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_file_that_would_run_code_is_refused(tmp_path, state, capsys):
    path = write(tmp_path / "a.pth", state, config=Command(f"touch {tmp_path / 'trap'}"))
    assert convert(path) == 2
    assert "reading it would run code: it names posix.system" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pth"]


def test_index_buffers_of_older_transformers_are_accepted(tmp_path, state, capsys):
    name = "text_encoder.embeddings.position_ids"
    path = write(tmp_path / "a.pth", state | {name: torch.arange(20)[None]})
    assert convert(path) == 0
    path = write(tmp_path / "b.pth", state | {name: torch.arange(20)[None] + 1})
    assert convert(path) == 2
    assert name in capsys.readouterr().err


def test_results_are_not_overwritten_unasked(tmp_path, state, capsys):
    path = write(tmp_path / "a.pth", state)
    shutil.copy(path, tmp_path / "a.ckpt")
    assert convert(path) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert convert(path, "--overwrite") == 0
    assert convert(path, "--out", path, "--overwrite") == 2
    assert main(["convert", str(tmp_path / "no.pth")]) == 2


def test_a_checkpoint_of_theirs_is_no_checkpoint_of_ours_and_the_other_way_round(tmp_path, state, capsys):
    path = write(tmp_path / "a.pth", state)
    assert main(["convert", path, "--to-published", "--out", str(tmp_path / "b.pth")]) == 2
    assert "go through `flexhook convert` first" in capsys.readouterr().err
    assert convert(path) == 0
    assert convert(str(tmp_path / "a.ckpt"), "--out", str(tmp_path / "c.ckpt")) == 2
    assert "330 tensors are missing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("points", [10, 0])
@pytest.mark.parametrize("pair", ["rope_swin_tiny+roberta", "resnet34+roberta", "clip_rn50+clip"])
def test_published_pairs_at_full_size(tmp_path, capsys, pair, points):
    torch.manual_seed(0)
    model = replace(PAIRS[pair], num_reference_points=points).build()
    state = to_published(model, model.state_dict()).state
    path = write(tmp_path / "a.pth", state)
    assert main(["convert", path]) == 0
    ours, _ = loaded(tmp_path / "a.ckpt")
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in ours.state_dict().items())
    assert main(["convert", str(tmp_path / "a.ckpt"), "--to-published", "--out", str(tmp_path / "b.pth")]) == 0
    back = torch.load(tmp_path / "b.pth", weights_only=True)["model"]
    assert set(back) == set(state)
    assert all(torch.equal(back[k], v) for k, v in state.items())
