"""A checkpoint whose bytes changed is refused before anything is built of it; so is one that is another kind of file."""

import random
import zipfile

import pytest
import torch
from toy_world import run_here

from flexhook.errors import InputError
from flexhook.training.checkpoints import read_checkpoint


@pytest.fixture(scope="module")
def last(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    toy.run(folder, "optim.epochs=1", "test=false")
    return folder / "checkpoints/last.ckpt"


def test_a_flipped_bit_in_any_weight_is_found(last, tmp_path):
    """154 of 154 flips were once loaded without a word; here every member's content is hit in turn."""
    whole, rng = last.read_bytes(), random.Random(0)
    with zipfile.ZipFile(last) as archive:
        members = [m for m in archive.infolist() if m.file_size]
    assert len(members) > 50
    for member in rng.sample(members, 40):
        start = whole.index(member.filename.encode(), member.header_offset) + len(member.filename)
        at = rng.randrange(start, start + member.file_size)
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        path = tmp_path / "damaged.ckpt"
        path.write_bytes(damaged)
        try:
            content = read_checkpoint(path)
        except InputError as error:
            assert str(path) in str(error)
        else:  # padding between members, which holds nothing
            assert_same(content, read_checkpoint(last))


def assert_same(one, other):
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][name])
    assert one["flexhook"] == other["flexhook"]


def test_damage_is_named_by_every_command(last, tmp_path):
    whole = bytearray(last.read_bytes())
    with zipfile.ZipFile(last) as archive:
        member = max(archive.infolist(), key=lambda m: m.file_size)
        content = archive.read(member)
    whole[whole.index(content) + member.file_size // 2] ^= 1
    path = tmp_path / "damaged.ckpt"
    path.write_bytes(whole)
    for argv in (["score", f"ckpt={path}"], ["train", "experiment=synthetic_tiny", f"ckpt_path={path}"],
                 ["convert", path, "--to-published", "--out", tmp_path / "out.pth"]):
        status, said = run_here(argv, tmp_path)
        assert status == 2 and "damaged.ckpt: the checkpoint is damaged: the checksum of" in said, said


PARTS = {"data": {}, "scoring": {}, "protocol": {}}
FORMS = {
    "nothing of ours": ({"state_dict": {}}, "no entries flexhook and state_dict"),
    "empty": ({"state_dict": {}, "flexhook": {}}, "holds no configuration"),
    "a list": ({"state_dict": {}, "flexhook": []}, "holds no configuration"),
    "a configuration that is none": ({"state_dict": {}, "flexhook": {"config": [1]}}, "holds no configuration"),
    "a state that is a list": ({"state_dict": [1], "flexhook": {"config": {}}}, "something else than tensors"),
    "numbers for tensors": ({"state_dict": {"a": 1.0}, "flexhook": {"config": {}}}, "something else than tensors"),
    "frozen numbers": ({"state_dict": {}, "flexhook": {"config": {}, "frozen": {"a": 1}}}, "flexhook.frozen is malformed"),
    "no method": ({"state_dict": {}, "flexhook": {"config": PARTS}}, "the configuration has no method"),
    "an odd method": ({"state_dict": {}, "flexhook": {"config": {**PARTS, "method": "x"}}}, "has no method"),
    "no data": ({"state_dict": {}, "flexhook": {"config": {"method": "x"}}}, "its configuration has no data"),
    "deep": ({"state_dict": {}, "flexhook": {"config": {}}}, "more than 50 levels"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_foreign_content_is_one_message(tmp_path, form):
    content, words = FORMS[form]
    if form == "deep":
        inner = content["flexhook"]["config"]
        for _ in range(200):
            inner["a"] = inner = {}
    path = tmp_path / "foreign.ckpt"
    torch.save(content, path)
    status, said = run_here(["score", f"ckpt={path}"], tmp_path)
    assert status == 2 and "foreign.ckpt: " in said and words in said and "Traceback" not in said, said


def test_training_goes_on_only_from_a_training(last, toy, tmp_path):
    """One message, before any data is made: no state of a training, another method, a model of other sizes."""
    content = torch.load(last, weights_only=True)
    converted = {name: content[name] for name in ("state_dict", "flexhook")}
    cases = {"converted": (converted, [], "no state of a training"),
             "lists": ({**content, "loops": []}, [], "loops is missing"),
             "method": (content, ["method=ikun", "model=ikun"], "is of the method"),
             "sizes": (content, ["num_reference_points=3"], "does not fit")}  # fmt: skip
    for name, (changed, more, words) in cases.items():
        path = tmp_path / f"{name}.ckpt"
        torch.save(changed, path)
        folder = tmp_path / name
        status, said = toy.train(folder, *more, f"ckpt_path={path}")
        assert status == 2 and f"{name}.ckpt: " in said and words in said, (name, said)
        assert not (folder / "config.yaml").exists()


def test_weights_that_are_not_finite_are_not_scored(last, toy, tmp_path):
    content = torch.load(last, weights_only=True)
    name = next(iter(content["state_dict"]))
    content["state_dict"][name].view(-1)[0] = float("nan")
    torch.save(content, tmp_path / "nan.ckpt")
    status, said = run_here(["score", f"ckpt={tmp_path}/nan.ckpt", f"out={tmp_path}/out"], tmp_path)
    assert status == 2 and f"nan.ckpt: the weight {name} is not finite" in said, said
    assert not (tmp_path / "out").exists()
