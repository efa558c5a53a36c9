"""`flexhook parity`: every quantity of a golden folder is compared, and whatever differs is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flexhook.commands.main import main
from flexhook.parity.compare import compare_gradients, compare_values
from flexhook.parity.golden import read_golden

FIXTURE = Path(__file__).parents[1] / "fixtures" / "tiny_golden"
GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "tiny_rope_swin_roberta"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(FIXTURE, tmp_path / "golden"))


def change_arrays(file, change):
    arrays = dict(np.load(file))
    change(arrays)
    np.savez(file, **arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_this_model_is_the_recorded_one(dtype, capsys):
    assert main(["parity", str(FIXTURE), "--dtype", dtype]) == 0
    out = capsys.readouterr().out
    assert "all 354 quantities agree" in out
    assert "grad_norms (330 of 330)" in out
    for quantity in ("feature_mean_0", "text_tokens", "traj_tokens_3", "ref_coords_2", "logits", "regulariser", "loss"):
        assert f"\n{quantity}  " in out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden values are not beside the checkout")
def test_this_model_is_the_published_one(dtype, capsys):
    assert main(["parity", str(GOLDEN), "--dtype", dtype]) == 0
    assert "all 354 quantities agree" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "element", "quantity"),
    [
        ("backbone.layers.2.blocks.1.attn.rope_freqs", 3, "feature_corner_2"),
        ("backbone.absolute_pos_embed", 100, "feature_mean_0"),
        ("text_encoder.encoder.layer.1.output.dense.weight", 7, "text_tokens"),
        ("absolute_lang_pos_embed", 0, "ref_coords_0"),
        ("conditional_pos_decoder.3.attention.wv.weight", 5, "ref_coords_3"),
        ("conditional_f_proj.1.fc2.weight", 5, "logits"),
        ("output_proj_ped.2.fc1.bias", 2, "traj_tokens_2"),
        ("objf_resid_down.1.0.weight", 40, "logits"),
        ("init_embeds", 11, "logits"),
        ("output_ca_qkv.2.feed_forward.linear_1.weight", 9, "logits"),
        ("head.0.fc2.weight", 4, "logits"),
    ],
)
def test_one_weight_changed_by_a_thousandth_is_found(folder, capsys, name, element, quantity):
    state = load_file(folder / "state_dict.safetensors")
    state[name].view(-1)[element] += 1e-3
    save_file(state, folder / "state_dict.safetensors")
    assert main(["parity", str(folder)]) == 1
    out = capsys.readouterr().out
    assert quantity in out.splitlines()[-1]
    assert "FAIL" in next(line for line in out.splitlines() if line.startswith(f"{quantity} "))


@pytest.mark.parametrize("name", sorted(np.load(FIXTURE / "outputs.npz").files))
def test_an_expected_array_that_is_changed_or_deleted_is_named(name):
    expected = dict(np.load(FIXTURE / "outputs.npz"))
    found = dict(expected)
    assert all(r.passed for r in compare_values(found, expected, 1e-9))
    changed = expected | {name: expected[name] + np.eye(1, expected[name].size, 1).reshape(expected[name].shape) * 1e-6}
    assert [r.quantity for r in compare_values(found, changed, 1e-9) if not r.passed] == [name]
    deleted = {k: v for k, v in expected.items() if k != name}
    rows = [r for r in compare_values(found, deleted, 1e-9) if not r.passed]
    assert [(r.quantity, r.note) for r in rows] == [(name, "missing in the folder")]


def test_a_changed_expected_array_exits_with_1(folder, capsys):
    change_arrays(folder / "outputs.npz", lambda a: a["traj_tokens_1"].__setitem__((0, 3, 2), 9.0))
    assert main(["parity", str(folder), "--dtype", "float32"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("1 of 354 quantities differ or are missing: traj_tokens_1")


def test_a_deleted_expected_array_exits_with_1(folder, capsys):
    change_arrays(folder / "outputs.npz", lambda a: a.pop("ref_coords_3"))
    assert main(["parity", str(folder)]) == 1
    assert "missing: ref_coords_3" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["loss", "regulariser", "grad_norms/init_embeds"])
def test_deleted_and_changed_scalars_exit_with_1(folder, capsys, name):
    file = folder / "scalars.json"
    scalars = json.loads(file.read_text())
    group, key = (scalars["grad_norms"], name.partition("/")[2]) if "/" in name else (scalars, name)
    original = group.pop(key)
    file.write_text(json.dumps(scalars))
    assert main(["parity", str(folder)]) == 1
    assert f"missing: {name}" in capsys.readouterr().out
    group[key] = original * (1 + 1e-5)
    file.write_text(json.dumps(scalars))
    assert main(["parity", str(folder)]) == 1
    assert f"missing: {name}" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["inputs.npz", "state_dict.safetensors", "outputs.npz", "scalars.json", "config.json"])
def test_a_missing_or_broken_file_is_named(folder, capsys, file):
    (folder / file).write_bytes(b"{nonsense")
    assert main(["parity", str(folder)]) == 1
    assert file in capsys.readouterr().err
    (folder / file).unlink()
    assert main(["parity", str(folder)]) == 1
    assert file in capsys.readouterr().err


def test_a_missing_weight_or_input_is_named(folder, capsys):
    state = load_file(folder / "state_dict.safetensors")
    save_file({k: v for k, v in state.items() if k != "head.2.fc1.weight"}, folder / "state_dict.safetensors")
    assert main(["parity", str(folder)]) == 1
    assert "1 tensors are missing: head.2.fc1.weight" in capsys.readouterr().err
    change_arrays(folder / "inputs.npz", lambda a: a.pop("boxes_xyxy"))
    assert main(["parity", str(folder)]) == 1
    assert "the array boxes_xyxy is missing" in capsys.readouterr().err
    change_arrays(folder / "inputs.npz", lambda a: a.update(boxes_xyxy=np.zeros((2, 3, 5))))
    assert main(["parity", str(folder)]) == 1
    assert "(windows, 3, 4)" in capsys.readouterr().err.replace("2, 3, 4", "windows, 3, 4")


def test_ids_beyond_the_vocabulary_are_told(folder, capsys):
    change_arrays(folder / "inputs.npz", lambda a: a["input_ids"].__setitem__((0, 0, 1), 60))
    assert main(["parity", str(folder)]) == 1
    assert "cannot compute from the inputs" in capsys.readouterr().err


def test_a_quantity_in_two_files_and_one_without_numbers_are_told(folder, capsys):
    original = dict(np.load(folder / "outputs.npz"))
    np.savez(folder / "outputs.npz", **original, loss=np.zeros(()))
    assert main(["parity", str(folder)]) == 1
    assert "loss is in outputs.npz too" in capsys.readouterr().err
    np.savez(folder / "outputs.npz", **original | {"logits": np.array(["a"])})
    assert main(["parity", str(folder)]) == 1
    assert "the array logits holds <U1" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "made"), [
    ("entropy_weighted_ce", "EntropyWeightedCrossEntropy"), ("focal", "FocalLoss"), ("weighted_ce", "WeightedCrossEntropy"),
    ("weighted_cross_entropy", "WeightedCrossEntropy"),
])  # fmt: skip
def test_the_loss_is_the_one_that_the_folder_names(folder, kind, made):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"loss": {**config["loss"], "type": kind}}))
    assert type(read_golden(folder).loss).__name__ == made


def test_nothing_compared_is_no_agreement(folder):
    np.savez(folder / "outputs.npz")
    (folder / "scalars.json").write_text("{}")
    assert main(["parity", str(folder)]) == 1


def test_nan_and_unknown_quantities_fail():
    x = {"logits": np.ones(3)}
    assert not compare_values(x, {"logits": np.array([1.0, np.nan, 1.0])}, 1.0)[0].passed
    assert not compare_values(x, {"logits": np.ones((3, 1))}, 1.0)[0].passed
    assert [r.note for r in compare_values(x, x | {"loss": np.ones(())}, 1.0)] == ["", "not a quantity of this model"]


def test_gradients_that_are_zero_up_to_rounding_are_compared_absolutely():
    found, expected = {"a": 1.0, "key.bias": 3e-10}, {"a": 1.0, "key.bias": 1e-20}
    assert all(r.passed for r in compare_gradients(found, expected, 1e-7, 1e-9))
    assert not compare_gradients(found, expected, 1e-7, 1e-10)[1].passed
    assert not compare_gradients({"a": 1.00001}, {"a": 1.0}, 1e-7, 1e-9)[0].passed


@pytest.mark.parametrize(
    "changes",
    [
        {"num_reference_points": 0},
        {"num_reference_points": 1, "num_expressions": 1},
        {"text": {"type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                  "intermediate_size": 8, "max_position_embeddings": 30}},
        {"image_size": [32, 96], "visual": {"type": "resnet18"},
         "text": {"type": "clip", "width": 8, "layers": 1, "heads": 2, "projection": 16,
                                                  "vocabulary": 40}},
        {"image_size": [96, 160], "window_frames": 1, "grid": [16, 48], "loss": {"type": "focal", "gamma": 2},
         "visual": {"type": "rope_swin", "embed_dim": 8, "depths": [1, 2, 1], "num_heads": [1, 2, 2], "mlp_ratio": 2}},
    ],
    ids=["no conditioning", "one point, one expression", "bert", "resnet and clip", "three stages, one frame"],
)  # fmt: skip
def test_any_sizes_record_and_compare(tmp_path, capsys, changes):
    config = json.loads((FIXTURE / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["parity", str(tmp_path), "--record"]) == 0
    dtype = "float64" if config["visual"]["type"] == "resnet18" else "float32"  # a ResNet's gradients round coarsely
    assert main(["parity", str(tmp_path), "--dtype", dtype]) == 0
    points = {k for k in np.load(tmp_path / "outputs.npz").files if k.startswith("ref_coords")}
    assert bool(points) == (config["num_reference_points"] > 0)
    assert torch.isfinite(torch.tensor(json.loads((tmp_path / "scalars.json").read_text())["loss"]))


def test_a_folder_that_is_not_there_and_a_config_without_a_model(tmp_path, capsys):
    assert main(["parity", str(tmp_path / "no")]) == 2
    (tmp_path / "config.json").write_text('{"visual": {"type": "vgg"}, "text": {"type": "roberta"}}')
    assert main(["parity", str(tmp_path), "--record"]) == 2
    assert "the visual encoder is 'vgg'" in capsys.readouterr().err
