"""Files from somebody else: no command builds what a stored configuration names, unless it is listed or trusted."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf
from PIL import Image
from toy_world import put, run_here

from flexhook.configuration.resolvers import config_folder
from flexhook.configuration.stored_config import read_stored_config
from flexhook.configuration.trust import PARTS, check_parts
from flexhook.datasets.naming import FramePattern
from flexhook.datasets.text_files import read_text
from flexhook.errors import ConfigError, InputError
from flexhook.media.images import read_image
from flexhook.structures.files import read_json
from flexhook.structures.result_files import result_file

PWNED = "pwned"
GADGETS = {
    "function": {"_target_": "torch.utils.collect_env.run", "command": f"touch {PWNED}"},
    "os": {"_target_": "os.system", "command": f"touch {PWNED}"},
    "method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
    "ours": {"_target_": "flexhook.synthetic.ensure", "root": PWNED, "config": None},
    "positional": {"_target_": "flexhook.encoders.blank.BlankVisualEncoder", "_args_": [[8, 8]]},
    "inside": {"_target_": "flexhook.encoders.blank.BlankVisualEncoder", "image_size": [32, 96],
               "mean": {"_target_": "os.system", "command": f"touch {PWNED}"}},
    "remote code": {"_target_": "flexhook.encoders.text.TransformersTextEncoder", "model": "folder",
                    "config": {"trust_remote_code": True}},
    "argument": {"_target_": "flexhook.encoders.text.TransformersTextEncoder", "model": "folder", "code_revision": "main"},
    "no name": {"_target_": 3},
}  # fmt: skip
BUILT = {  # by command, what it builds of a stored configuration
    "score": ["method", "model", "model.visual", "model.temporal.motion", "data.reader", "data.reader.truth", "data.transform",
              "tracker", "scoring.calibration", "alignment"],
    "predict": ["method", "model", "model.visual", "alignment"],
    "convert": ["method", "model", "model.visual", "alignment"],
    "bench": ["method", "model", "model.text", "alignment", "data.reader", "tracker"],
    "evaluate": ["data.reader", "data.reader.images", "data.reader.splits.test"],
    "render": ["data.reader", "data.reader.images"],
}


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    toy.run(folder, "optim.epochs=1", "alignment=cosine", "trainer=cpu")
    return folder


def with_part(config, key, part):
    cfg = OmegaConf.create(config)
    OmegaConf.update(cfg, key, part, merge=False, force_add=True)
    return OmegaConf.to_container(cfg)


def checkpoint_with(trained, folder, key, part):
    content = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)
    content["flexhook"]["config"] = with_part(content["flexhook"]["config"], key, part)
    torch.save(content, folder / "stranger.ckpt")
    return folder / "stranger.ckpt"


def run_with(trained, folder, key, part):
    shutil.copytree(trained, folder / "run")
    path = folder / "run/config.yaml"
    path.write_text(yaml.safe_dump(with_part(yaml.safe_load(path.read_text()), key, part)))
    return folder / "run"


def command_on(command, trained, toy, folder, key, part):
    if command in ("evaluate", "render"):
        run = run_with(trained, folder, key, part)
        return ["evaluate", f"run={run}"] if command == "evaluate" else ["render", run, "--best", "1", "--worst", "0"]
    path = checkpoint_with(trained, folder, key, part)
    return {
        "score": ["score", f"ckpt={path}", f"out={folder}/out", "accelerator=cpu"],
        "predict": ["predict", f"ckpt={path}", f"out={folder}/out", f"video={toy.root}/KITTI/training/image_02/u",
                    f"tracks={toy.root}/tracks/u/car/predict.txt", "sentences=[cars]", "frame_size=[64,192]", "overlay=false"],
        "convert": ["convert", path, "--to-published", "--out", folder / "out.pth"],
        "bench": ["bench", "scoring", "--compare-precision", "--checkpoint", path, "--accelerator", "cpu"],
    }[command]


@pytest.mark.parametrize(("command", "key"), [(c, key) for c, keys in BUILT.items() for key in keys])
def test_no_command_builds_what_a_stranger_names(trained, toy, tmp_path, command, key):
    status, said = run_here(command_on(command, trained, toy, tmp_path, key, GADGETS["function"]), tmp_path)
    assert status == 2, said
    assert f"{key} names torch.utils.collect_env.run" in said and "Nothing was built" in said
    assert "stranger.ckpt: " in said or "config.yaml: " in said
    assert not (tmp_path / PWNED).exists()


@pytest.mark.parametrize("gadget", GADGETS)
@pytest.mark.parametrize("command", ["score", "evaluate"])
def test_every_kind_of_gadget_is_refused(trained, toy, tmp_path, command, gadget):
    key = {"score": "model.visual", "evaluate": "data.reader.truth"}[command]
    status, said = run_here(command_on(command, trained, toy, tmp_path, key, GADGETS[gadget]), tmp_path)
    assert status == 2 and f": {key}" in said and "Nothing was built" in said, said
    assert not (tmp_path / PWNED).exists()


@pytest.mark.parametrize("key", ["loss.match", "optim.optimizer", "callbacks.more", "logger.more", "trainer"])
def test_what_a_command_does_not_build_is_not_asked(trained, toy, tmp_path, key):
    argv = command_on("score", trained, toy, tmp_path, key, GADGETS["function"])
    status, said = run_here([*argv, "videos=[u]"], tmp_path)
    assert status == 0, said
    assert not (tmp_path / PWNED).exists()


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a ${made_folder:pwned} b", "${data.root}"])
@pytest.mark.parametrize("command", ["score", "predict", "convert", "bench", "evaluate", "render"])
def test_interpolations_are_refused_wherever_they_stand(trained, toy, tmp_path, command, text):
    status, said = run_here(command_on(command, trained, toy, tmp_path, "wherever", text), tmp_path)
    assert status == 2 and "interpolation, wherever" in said, said
    assert not (tmp_path / PWNED).exists()


def test_a_generator_in_a_file_makes_nothing(trained, toy, tmp_path):
    """Only the command's own configuration makes data: what a file says of it is not looked at."""
    content = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)
    data = content["flexhook"]["config"]["data"]
    data["generator"] = {"_target_": "flexhook.synthetic.WorldConfig", "test_videos": 1}
    torch.save(content, tmp_path / "there.ckpt")
    status, said = run_here(["score", f"ckpt={tmp_path}/there.ckpt", f"out={tmp_path}/out", "videos=[u]"], tmp_path)
    assert status == 0, said
    data["root"] = str(tmp_path / "made")
    torch.save(content, tmp_path / "away.ckpt")
    status, said = run_here(["score", f"ckpt={tmp_path}/away.ckpt", f"out={tmp_path}/out"], tmp_path)
    assert status == 2 and "away.ckpt: the data that it was trained on" in said and "data.root=FOLDER" in said, said
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(("key", "value", "words"), [
    ("model.visual", {"_target_": "flexhook.encoders.visual.TimmVisualEncoder", "model": "hf-hub:a/b"}, "without hf-hub:"),
    ("model.visual", {"_target_": "flexhook.encoders.visual.TimmVisualEncoder", "model": "local-dir:a"}, "or local-dir:"),
    ("model.hook.num_reference_points", 10**9, "at most 100,000"),
    ("model.num_frames", 10**9, "at most 1,000"),
    ("model.hook.heads", float("nan"), "at most 1,000"),
    ("image_size", [100_000, 100_000], "at most 16384 pixels"),
    ("image_size", "ab", "image_size is 'ab'"),
    ("data", "x", "its configuration has no data"),
    ("scoring.smoothing", "x", "scoring.smoothing is 'x'"),
])  # fmt: skip
def test_values_of_a_file_are_bounded(trained, tmp_path, key, value, words):
    path = checkpoint_with(trained, tmp_path, key, value)
    status, said = run_here(["score", f"ckpt={path}", f"out={tmp_path}/out"], tmp_path)
    assert status == 2 and "stranger.ckpt: " in said and words in said, said


@pytest.mark.parametrize("name", ["/tmp/away", "../away", "a/../../away", "a//b", "."])
def test_names_of_videos_do_not_lead_out_of_the_output(trained, toy, tmp_path, name):
    argv = command_on("evaluate", trained, toy, tmp_path, "data.reader.splits.test", [name])
    status, said = run_here([*argv, f"trackeval={tmp_path}/trackeval"], tmp_path)
    assert status == 2 and f"names video {name!r}" in said, said
    with pytest.raises(InputError, match="leads out of the folder"):
        result_file(tmp_path, name)


def test_links_in_a_strangers_folder_lead_no_results_elsewhere(trained, toy, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    for name in ("pictures", "report"):
        shutil.rmtree(run / name, ignore_errors=True)
        (run / name).symlink_to(away)
    shutil.copytree(toy.root, tmp_path / "data", symlinks=True)
    (tmp_path / "data/seqmaps").symlink_to(away)
    prepare = ["data", "prepare", "data=refer_kitti", f"data.root={tmp_path}/data", "data.reader.splits={test:[u]}"]
    for argv in (["render", run], ["report", run], prepare):
        status, said = run_here(argv, tmp_path)
        assert status == 2 and "the folder is a link that leads elsewhere" in said, said
    assert not list(away.iterdir())
    assert run_here(["report", run, "--out", tmp_path / "run/report"], tmp_path)[0] == 0  # asked for


@pytest.mark.parametrize("pattern", ["{video.__class__}/{frame}.png", "{video:>99999999}/{frame}.png", "{video!r}/{frame}.png",
                                     "{video}/{frame:>9999d}", "{video}/{frame:0999999d}.png"])  # fmt: skip
def test_patterns_of_paths_have_plain_fields(pattern):
    with pytest.raises(ConfigError, match="is malformed"):
        FramePattern(pattern)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "config.yaml")
    for read in (read_json, read_text, read_stored_config):
        for path in (tmp_path / "config.yaml", Path("/dev/zero")):
            with pytest.raises(InputError, match="no regular file"):
                read(path)


def test_a_picture_bomb_is_one_message(tmp_path, monkeypatch):
    Image.new("1", (300, 300)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"bomb.png: the image does not decode"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("part", [
    {"visual": {"type": "rope_swin", "command": "touch pwned", "_target_": "os.system"}},
    {"text": {"type": "clip", "_target_": "os.system", "command": "touch pwned"}},
    {"text": {"type": "roberta", "trust_remote_code": True}},
])  # fmt: skip
def test_folders_of_golden_values_name_no_code(tmp_path, part):
    golden = tmp_path / "golden"
    shutil.copytree(Path(__file__).parents[1] / "fixtures/tiny_golden", golden)
    path = golden / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | part))
    for argv in (["parity", golden], ["convert", golden / "state_dict.safetensors", "--architecture", path]):
        status, said = run_here(argv, tmp_path)
        assert status in (1, 2) and "config.json: " in said and ("may not set" in said or "a file may name" in said), said
    assert not (tmp_path / PWNED).exists()


def test_a_users_own_part_is_trusted_where_the_user_says_so(trained, toy, tmp_path, monkeypatch):
    """Named on the command line, by FLEXHOOK_TRUST, or by an installed package's entry point."""
    monkeypatch.delenv("FLEXHOOK_TRUST")
    argv = ["score", f"ckpt={trained}/checkpoints/last.ckpt", f"out={tmp_path}/out", "videos=[u]"]
    status, said = run_here(argv, tmp_path)
    assert status == 2 and "toy_world.ToyVisual" in said and "set FLEXHOOK_TRUST=toy_world" in said, said
    monkeypatch.setenv("FLEXHOOK_TRUST", "another, toy_world")
    status, said = run_here(argv, tmp_path)
    assert status == 0, said


def test_an_entry_point_makes_a_package_trusted(tmp_path):
    """Of the group flexhook.parts; asked in a process of its own, since the answer is kept."""
    put(tmp_path / "parts_of_mine.py").write_text("class Part: pass\n")
    put(tmp_path / "mine-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    put(tmp_path / "mine-1.0.dist-info/entry_points.txt").write_text("[flexhook.parts]\nmine = parts_of_mine\n")
    program = ("from flexhook.configuration.trust import check_parts\n"
               "check_parts({'model': {'_target_': 'parts_of_mine.Part'}}, ['model'], 'f.ckpt')\n")
    for path, expected in ((str(tmp_path), 0), ("", 1)):
        done = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}, capture_output=True)
        assert done.returncode == expected, done.stderr


def test_a_trusted_package_does_not_lend_its_imports(tmp_path, monkeypatch):
    """``toy_world.os.system`` is defined elsewhere."""
    monkeypatch.setenv("FLEXHOOK_TRUST", "toy_world,flexhook,torch.nn")
    for name in ("toy_world.os.system", "toy_world.subprocess.run", "flexhook.synthetic.ensure", "torch.load"):
        with pytest.raises(InputError, match="none of the parts"):
            check_parts({"model": {"_target_": name}}, ["model"], "f.ckpt")
    check_parts({"model": {"_target_": "toy_world.ToyVisual"}}, ["model"], "f.ckpt")


def test_names_of_the_commands_own_configuration_are_trusted():
    own = OmegaConf.create({"tracker": {"_target_": "mine.Tracker"}, "loss": {"_target_": "os.system", "command": "a"}})
    check_parts({"tracker": {"_target_": "mine.Tracker", "more": 1}}, ["tracker"], "f.ckpt", own)
    check_parts({"tracker": {"_target_": "flexhook.encoders.packaged.minilm", "odd": 1}}, ["tracker"], "f.ckpt",
                {"text": {"_target_": "flexhook.encoders.packaged.minilm", "odd": 1}})
    with pytest.raises(InputError, match=r"f.ckpt: tracker sets odd of flexhook.encoders.packaged.minilm"):
        check_parts({"tracker": {"_target_": "flexhook.encoders.packaged.minilm", "odd": 1}}, ["tracker"], "f.ckpt", own)


def test_the_list_names_what_there_is_with_arguments_that_it_takes():
    for name, arguments in PARTS.items():
        parameters = inspect.signature(get_object(name)).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        unknown = [a for a in arguments.split() if a not in parameters]
        assert not unknown or open_ended or name.endswith(("StageMethod", "DetectorMethod", "GroundingMethod")), (name, unknown)


def composed():
    for group in ("visual", "text", "model", "decoder", "tracker", "data", "alignment", "scoring"):
        for path in sorted((config_folder() / group).glob("*.yaml")):
            more = ["data.root=there"] if group != "data" else ["++data.root=there"]
            names = [] if group == "data" else ["data=refer_kitti_v2"]
            yield [f"{group}={path.stem}", *names, *more, "experiment=none", "name=x", "run_dir=x"]
    for group in ("components", "displacement", "queries", "tracker", "encoders", "control"):
        for path in sorted((config_folder() / "ablation" / group).glob("*.yaml")):
            yield [f"ablation={group}/{path.stem}", "experiment=synthetic_tiny", "name=x", "run_dir=x"]


@pytest.mark.parametrize("overrides", list(composed()), ids=lambda overrides: overrides[0])
def test_what_our_own_configurations_name_is_on_the_list(overrides):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train", overrides)
    OmegaConf.resolve(cfg)
    parts = ("method", "model", "alignment", "data.reader", "data.transform", "tracker", "scoring.calibration")
    check_parts(cfg, parts, "f.ckpt")
