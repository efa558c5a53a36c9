"""Files from somebody else: bombs, nesting and names that lead out of the folder end in one message, in bounded time."""

import json
import time

import numpy as np
import pytest
from fake_runs import make_run

from flexhook.configuration.stored_config import read_stored_config, stored_config
from flexhook.errors import InputError
from flexhook.evaluation.evaluation import Evaluation
from flexhook.reports.runs import read_run
from flexhook.structures.files import read_json
from flexhook.structures.reference_points import read_reference_points
from flexhook.structures.result_files import read_expressions
from flexhook.structures.slugs import is_file_name, stays_inside

DEEP = '{"a": ' * 100_000 + "1" + "}" * 100_000


def aliases(levels=7, width=10):
    """A YAML file of some hundred bytes that stands for 10^7 values."""
    lines = ["a0: &a0 [" + ", ".join(["1"] * width) + "]"]
    lines += [f"a{k}: &a{k} [" + ", ".join([f"*a{k - 1}"] * width) + "]" for k in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("reader", "name"), [
    (read_json, "any.json"), (read_reference_points, "reference_points.json"),
    (lambda path: read_expressions(path.parent), "expressions.json"),
])  # fmt: skip
@pytest.mark.parametrize("content", [DEEP, "[" * 100_000, "[1, 2]", '"text"', '{"a": 1', b"\xff\xfe{}", "{" + "\0" + "}"],
                         ids=["deep", "open", "list", "text", "cut", "not UTF-8", "NUL"])  # fmt: skip
def test_json_of_any_kind_is_one_message(tmp_path, reader, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=name):
        reader(path)


CONFIGS = {
    "aliases": (aliases(), "more than 100,000 values"),
    "deep": ("{a: " * 3000 + "1" + "}" * 3000, "more than 50 levels|nesting depth"),
    "very deep": ("[" * 200_000, "does not read|not valid YAML"),
    "an object": ("a: !!python/object/apply:os.system ['touch pwned']", "not valid YAML"),
    "a date": ("a: 2026-11-30", "is a date"),
    "a set": ("a: !!set {b, c}", "is a set"),
    "binary": ("a: !!binary aGVsbG8=", "is a bytes"),
    "many values": ("a: [" + "1," * 150_000 + "1]", "more than 100,000 values"),
    "a long number": ("a: " + ":".join(["59"] * 100_000), "a number is too long"),
    "large": ("a: '" + "x" * (5 << 20) + "'", "larger than 4 MB"),
    "twice": ("a: 1\na: 2", "occurs twice"),
    "a list": ("- 1", "is a list"),
    "empty": ("", "is empty"),
    "a key that is none": ("? [1, 2]\n: 3", "neither text nor number|not valid YAML"),
    "an interpolated key": ("${oc.env:HOME}: 1", "interpolation"),
    "not UTF-8": (b"a: \xff", "does not read"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGS)
def test_configurations_are_read_in_bounds(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    content, words = CONFIGS[case]
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    begin = time.monotonic()
    with pytest.raises(InputError, match=words) as told:
        read_stored_config(path)
    assert str(path) in str(told.value) and time.monotonic() - begin < 10
    assert not (tmp_path / "pwned").exists()


def test_a_configuration_of_ours_is_read_as_it_was_written(tmp_path):
    plain = {"seed": 3, "lr": 1e-5, "name": "1e-5", "list": [1, None, True, "no"], "inner": {"a": {}}, "text": "ümlaut\nline"}
    from omegaconf import OmegaConf

    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(plain)))
    assert OmegaConf.to_container(read_stored_config(tmp_path / "config.yaml")) == plain
    assert OmegaConf.to_container(stored_config(plain, "f.ckpt")) == plain


@pytest.mark.parametrize(("name", "inside"), [
    ("a", True), ("a..b", True), ("cars-turning-left", True), ("", False), (".", False), ("..", False), ("a/b", False),
    ("/a", False), ("a\\b", False), ("a\0", False), ("\ud800", False), ("..\\..\\a", False),
])  # fmt: skip
def test_names_of_files_stay_in_their_folder(name, inside):
    assert is_file_name(name) == inside


@pytest.mark.parametrize(("path", "inside"), [("a/b", True), ("a/../b", False), ("/a", False), ("a//b", False), ("..", False)])
def test_names_of_videos_may_have_folders(path, inside):
    assert stays_inside(path) == inside


@pytest.mark.parametrize("names", [("../v", "cars"), ("/tmp/v", "cars"), ("v", "../../cars"), ("v", ".."), ("v", "a/b")])
def test_results_whose_names_lead_out_of_the_folder_are_refused(tmp_path, names):
    video, slug = names
    (tmp_path / "expressions.json").write_text(json.dumps({video: [{"sentence": "cars", "slug": slug, "tags": []}]}))
    with pytest.raises(InputError, match=r"expressions.json: the name .* leads out of the folder"):
        read_expressions(tmp_path)


def test_a_damaged_table_of_sequences_is_one_message(tmp_path):
    np.savez(tmp_path / "sequences.npz", tags=np.array([DEEP]))
    with pytest.raises(InputError, match=r"sequences.npz: the file is truncated or corrupted"):
        Evaluation.load(tmp_path / "sequences.npz")


@pytest.mark.parametrize("name", ["meta.json", "metrics.json", "config.yaml"])
@pytest.mark.parametrize("content", [DEEP, "[]", "{"])
def test_runs_with_hostile_files_are_left_out_with_a_message(tmp_path, name, content):
    folder = tmp_path / "run/seed0"
    make_run(folder, 0.5)
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=name):
        read_run(folder)
