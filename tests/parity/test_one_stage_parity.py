"""`flexhook parity` on folders of one-stage models: every part and quantity is compared, whatever differs is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from flexhook.commands.main import main
from flexhook.parity.one_stage import is_one_stage_folder

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "one_stage"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden values are not beside the checkout")
COUNTS = {"transrmot": 734, "temprmot": 851}
GRADIENTS = {"transrmot": 300, "temprmot": 276}


def copied(name, tmp_path, parts):
    """A writable folder with some parts of a golden one."""
    folder = tmp_path / name
    for part in ("config.json", "state_dict.safetensors", "state_dict_extra_track_attn.safetensors", *parts):
        source, target = GOLDEN / name / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


@pytest.mark.parametrize("name", COUNTS)
def test_this_model_is_the_published_one(name, capsys):
    assert is_one_stage_folder(GOLDEN / name)
    assert main(["parity", str(GOLDEN / name)]) == 0
    out = capsys.readouterr().out
    assert f"all {COUNTS[name]} quantities agree" in out
    for quantity in ("single/memory", "clip/total", "clip/frame2_matched_gt", "online/events/births",
                     "online_extra_track_attn/frame8_result_rows"):
        assert f"\n{quantity} " in out
    assert f"grad_norms ({GRADIENTS[name]} of {GRADIENTS[name]})" in out


def test_in_single_precision_decisions_are_equal_too(capsys):
    assert main(["parity", str(GOLDEN / "temprmot"), "--dtype", "float32"]) == 0
    assert "all 851 quantities agree" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "part", "weight", "quantity"), [
    ("transrmot", "single", "fusion_module.multihead_attn.out_proj.weight", "single/fused_0"),
    ("transrmot", "single", "txt_proj.layer_norm.bias", "single/text_tokens"),
    ("transrmot", "single", "transformer.encoder.layers.1.self_attn.sampling_offsets.bias", "single/memory"),
    ("transrmot", "single", "class_embed.0.bias", "single/class_logits"),
    ("transrmot", "online", "track_embed.linear_feat2.bias", "online/frame0_out_query_pos"),
    ("temprmot", "online", "STReasoner.hist_transformer.layers.2.norm1.bias", "online/frame0_st_embedding_after"),
    ("temprmot", "online", "STReasoner.ts_query_embed.0.weight", "online/frame3_st_boxes_after"),
])  # fmt: skip
def test_one_weight_changed_by_a_thousandth_is_found(tmp_path, capsys, name, part, weight, quantity):
    folder = copied(name, tmp_path, [part])
    state = {k: v.double() for k, v in load_file(folder / "state_dict.safetensors").items()}
    state[weight].view(-1)[3 % state[weight].numel()] += 1e-3
    save_file(state, folder / "state_dict.safetensors")
    assert main(["parity", str(folder)]) == 1
    line = next(row for row in capsys.readouterr().out.splitlines() if row.startswith(f"{quantity} "))
    assert "FAIL" in line


def test_deleted_unknown_and_changed_quantities_are_named(tmp_path, capsys):
    folder = copied("transrmot", tmp_path, ["single", "online"])
    for part, change in (("single", lambda a: a.pop("memory")), ("online", lambda a: a.update(frame0_dreams=np.zeros(2)))):
        arrays = dict(np.load(folder / part / "outputs.npz"))
        change(arrays)
        np.savez(folder / part / "outputs.npz", **arrays)
    scalars = json.loads((folder / "online/scalars.json").read_text())
    scalars["events"]["births"][3] = [3, 4]
    (folder / "online/scalars.json").write_text(json.dumps(scalars))
    assert main(["parity", str(folder)]) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("FAIL: 3 of ")
    assert all(name in said for name in ("single/memory", "online/frame0_dreams", "online/events/births"))


@pytest.mark.parametrize("file", ["config.json", "state_dict.safetensors", "single/outputs.npz", "single/inputs.npz",
                                  "single/scalars.json"])  # fmt: skip
def test_a_broken_file_is_named(tmp_path, capsys, file):
    folder = copied("transrmot", tmp_path, ["single"])
    (folder / file).write_bytes(b"{nonsense")
    assert main(["parity", str(folder)]) == 1
    assert file in capsys.readouterr().err


def test_a_missing_weight_and_a_copy_that_differs_are_named(tmp_path, capsys):
    folder = copied("transrmot", tmp_path, ["single"])
    state = load_file(folder / "state_dict.safetensors")
    save_file({k: v for k, v in state.items() if k != "refer_embed.1.bias"}, folder / "state_dict.safetensors")
    assert main(["parity", str(folder)]) == 1
    assert "1 tensors are missing: refer_embed.1.bias" in capsys.readouterr().err
    state["bbox_embed.1.layers.0.bias"] = state["bbox_embed.1.layers.0.bias"] + 1
    save_file(state, folder / "state_dict.safetensors")
    assert main(["parity", str(folder)]) == 1
    assert "copies that differ from the box heads: transformer.decoder.bbox_embed.1.layers.0.bias" in capsys.readouterr().err
