"""Paths and sentences as people write them, help of each command, keys that nobody reads."""

import shutil
import time

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from toy_world import run_here

from flexhook.commands.command_line import quote_literals
from flexhook.configuration.resolvers import config_folder
from flexhook.errors import InputError
from flexhook.training.checkpoint_file import require_checkpoint_file

TEXTS = [
    "clip.mp4", "my clip.mp4", "clip(1).mp4", "clip,1.mp4", "clipé.mp4", "a=b/c=d.mp4", "{x}.mp4", "a:b.mp4", "~/a~b.mp4",
    "man's car", "cars turning left, then right", 'the "red" car', "50% of cars", "a\\b", "ends with \\", "\\'",
    "it's \\'so\\\\'",
    "${oc.env:HOME}", "$HOME", "#1", "@home", "车", "null car", "true", "1e5", "-1", "", " x ", "a'b'c", "*?",
    "glob(*)", "a|b;c&d",
]  # fmt: skip


@pytest.mark.parametrize("text", [t for t in TEXTS if t])
def test_a_literal_value_comes_through_hydra_unchanged(text):
    (quoted,) = quote_literals([f"video={text}"])
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("predict", [quoted, "sentences=[a]", "ckpt=c"])
    assert cfg.video == text


@pytest.mark.parametrize("arg", ["video=null", 'sentences=["a","b"]', "sentences=[a,b]", "video='a b.mp4'", "split=test", "-m",
                                 "tracker=file", "scoring.smoothing=1", "video=", "--cfg", "hydra.run.dir=a,b"])  # fmt: skip
def test_everything_else_is_left_to_hydra(arg):
    assert quote_literals([arg]) == [arg]


def values(arg):
    override = OverridesParser.create().parse_override(arg)
    return list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.get_value_element_as_str()]


def test_a_multirun_splits_at_commas_unless_such_a_file_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip,1.mp4").touch()
    _, one, two, all_ = quote_literals(["-m", "video=clip,1.mp4", "video=a b.mp4,c(1).mp4", "video=glob(*)"])
    assert values(one) == ["'clip,1.mp4'"]
    assert values(two) == ["'a b.mp4'", "'c(1).mp4'"]
    assert all_ == "video=glob(*)"


@pytest.fixture(scope="module")
def model(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "run"
    toy.run(folder, "optim.epochs=1", "test=false", "trainer=cpu")
    return folder / "checkpoints/last.ckpt"


@pytest.mark.parametrize("name", ["my clip", "clip(1)", "clip,1", "clipé=ü", "man's {clip}"])
def test_predict_takes_odd_names(toy, model, tmp_path, name):
    video, tracks, ckpt = tmp_path / name, tmp_path / f"{name}.txt", tmp_path / f"{name}.ckpt"
    shutil.copytree(toy.root / "KITTI/training/image_02/u", video)
    shutil.copy(toy.root / "tracks/u/car/predict.txt", tracks)
    shutil.copy(model, ckpt)
    status, said = run_here([
        "predict", f"video={video}", f"tracks={tracks}", "sentences=man's car, turning left", f"ckpt={ckpt}",
        f"out={tmp_path}/out, {name}", "frame_size=[64,192]", "overlay=false"], tmp_path)
    assert status == 0, said
    assert (tmp_path / f"out, {name}" / "man's-car,-turning-left.txt").is_file()


def test_a_file_of_sentences(toy, model, tmp_path):
    argv = ["predict", f"video={toy.root}/KITTI/training/image_02/u", f"tracks={toy.root}/tracks/u/car/predict.txt",
            f"ckpt={model}", f"out={tmp_path}/out", "frame_size=[64,192]", "overlay=false"]  # fmt: skip
    (tmp_path / "all.txt").write_text("\ufeffred cars\n\ncars, turning\nred cars\n")
    status, said = run_here([*argv, "sentences=all.txt"], tmp_path)
    assert status == 0, said
    assert sorted(p.stem for p in (tmp_path / "out").glob("*.txt")) == ["cars,-turning", "red-cars"]
    (tmp_path / "none.txt").write_text("\n")
    for name, words in (("none.txt", "none.txt: the file of sentences has none"), ("away.txt", "away.txt: the file does not")):
        status, said = run_here([*argv, f"sentences={name}"], tmp_path)
        assert status == 2 and words in said, said


@pytest.mark.parametrize(("argv", "words"), [
    (["train", "optim.epoch=3"], "there is no key optim.epoch. Expected a key that the command has. Did you mean"),
    (["train", "epochs=3"], "Did you mean optim.epochs="),
    (["train", "+epochs=1"], "+epochs=1 appends a key that nobody reads"),
    (["train", "+epochs=1"], "Did you mean optim.epochs=1?"),
    (["train", "+optim.epoch=1"], "Did you mean optim.epochs=1?"),
    (["score", "ckpt=a", "+smoothing=2"], "Did you mean scoring.smoothing=2?"),
    (["score", "ckpt=a", "spilt=val"], "Did you mean split="),
    (["predict", "ckpt=a", "video=b", "sentences=c", "trakcs=d"], "Did you mean tracks="),
    (["train", "ablation=tracker/x3"], "there is no ablation/tracker/x3. Expected one of truth, x0.5, x1, x2, x4."),
    (["train", "ablation=points/m3"], "one of m0, m1, m10, m20, m5"),
])  # fmt: skip
def test_mistyped_keys_are_told_with_the_nearest(tmp_path, argv, words):
    status, said = run_here(argv, tmp_path)
    assert status == 2 and words in said and "Traceback" not in said, said


@pytest.mark.parametrize("extra", ["+decoder.gain=2.0", "+visual.scales=2", "+callbacks.kill._target_=toy_world.KillAt",
                                   "+model.hook.finest=[4,8]", "+trainer.limit_val_batches=1"])  # fmt: skip
def test_arguments_of_parts_may_be_appended(tmp_path, extra):
    status, said = run_here(["train", "experiment=synthetic_tiny", extra, "ckpt_path=nowhere.ckpt"], tmp_path)
    assert status == 2 and "nowhere.ckpt: the checkpoint does not exist" in said, said


@pytest.mark.parametrize("command", ["train", "score", "predict", "evaluate"])
def test_help_is_the_commands_own(tmp_path, command):
    status, said = run_here([command, "--help"], tmp_path)
    assert status == 0 and f"usage: flexhook {command} KEY=VALUE" in said
    own = {"train": "ckpt_path", "score": "split", "predict": "sentences", "evaluate": "results"}
    assert f"  {own[command]}: " in said and "\nhydra:" not in said
    assert ("ablation=none" in said) == (command == "train")


@pytest.mark.parametrize(("content", "words"), [
    (b"", "it is an empty file"), (b"hello world, not a checkpoint\n"[:-1], "it is text"), (b"\x80\x02}q\x00.", "no archive"),
])  # fmt: skip
def test_what_is_no_checkpoint_is_told_before_torch_is_imported(tmp_path, content, words):
    path = tmp_path / "bad.ckpt"
    path.write_bytes(content)
    begin = time.monotonic()
    with pytest.raises(InputError, match=words):
        require_checkpoint_file(path)
    assert time.monotonic() - begin < 1
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    torch.save({}, tmp_path / "run/checkpoints/last.ckpt")
    with pytest.raises(InputError, match=r"it is a folder.*Its newest checkpoint is .*run/checkpoints/last.ckpt"):
        require_checkpoint_file(tmp_path / "run")
    for argv in (["score", f"ckpt={path}"], ["train", f"ckpt_path={path}"]):
        status, said = run_here(argv, tmp_path)
        assert status == 2 and words in said, said


def test_no_result_takes_the_place_of_an_input(toy, model, tmp_path):
    video, tracks = tmp_path / "u", tmp_path / "cars.txt"
    shutil.copytree(toy.root / "KITTI/training/image_02/u", video)
    shutil.copy(toy.root / "tracks/u/car/predict.txt", tracks)
    before = tracks.read_bytes()
    argv = ["predict", f"video={video}", f"tracks={tracks}", f"ckpt={model}", f"out={tmp_path}", "frame_size=[64,192]",
            "overlay=false"]  # fmt: skip
    status, said = run_here([*argv, "sentences=cars"], tmp_path)
    assert status == 2 and "cars.txt: a result would take the place of an input" in said, said
    assert tracks.read_bytes() == before and not (tmp_path / "scores").exists()
    status, said = run_here([*argv, "sentences=red cars"], tmp_path)
    assert status == 0 and "also holds results of 1 earlier sentences, such as cars.txt" in said, said


def test_several_videos_have_a_folder_each(toy, model, tmp_path):
    """Two of one name, too; the same command again finds its own folders."""
    videos = [tmp_path / folder / "clip" for folder in "ab"]
    for video in videos:
        shutil.copytree(toy.root / "KITTI/training/image_02/u", video)
    argv = ["predict", "-m", f"video={','.join(map(str, videos))}", f"tracks={toy.root}/tracks/u/car/predict.txt",
            f"ckpt={model}", f"out={tmp_path}/out", "frame_size=[64,192]", "overlay=false", "sentences=cars",
            f"hydra.sweep.dir={tmp_path}/sweep"]  # fmt: skip
    for _ in range(2):
        status, said = run_here(argv, tmp_path)
        assert status == 0, said
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["clip", "clip-2"]
        assert all((tmp_path / "out" / name / "cars.txt").is_file() for name in ("clip", "clip-2"))


def test_predict_runs_the_first_stage_itself(toy, model, tmp_path):
    """From raw video: background subtraction finds the boxes that wander over the toy world's frames."""
    argv = ["predict", f"video={toy.root}/KITTI/training/image_02/u", f"ckpt={model}", f"out={tmp_path}/out", "sentences=cars",
            "overlay=false"]  # fmt: skip
    status, said = run_here(argv, tmp_path)
    assert status == 2 and "ustc-community/dfine-small-coco" in said and "detector=background" in said, said  # no hub here
    status, said = run_here([*argv, "detector=background", "tracker.min_length=1"], tmp_path)
    assert status == 0 and "cars" in said, said
    assert (tmp_path / "out/cars.txt").is_file()
