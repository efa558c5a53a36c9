"""Private names of other packages: few, listed, there in the installed versions, and bounded in pyproject.toml."""

import ast
import inspect
import re
from importlib import metadata
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from packaging.requirements import Requirement
from trackeval.datasets import MotChallenge2DBox

import flexhook

SOURCES = Path(flexhook.__file__).parent
PYPROJECT = SOURCES.parents[1] / "pyproject.toml"
#: (name, where it is used): its owner and the distribution.
PRIVATE = {
    ("_save_topk_checkpoint", "training/checkpoints.py"): (ModelCheckpoint, "lightning"),
    ("_last_global_step_saved", "training/checkpoints.py"): (ModelCheckpoint(), "lightning"),
    ("_calculate_box_ious", "evaluation/trackeval_reference.py"): (MotChallenge2DBox, "trackeval"),
}


def private_names():
    """(name, file) of every private attribute that is used, of another object or overridden, and not defined by ours."""
    trees = {path: ast.parse(path.read_text()) for path in SOURCES.rglob("*.py")}
    ours, used = set(), set()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                ours.add((node.name, path))
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                ours.add((node.attr, path))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                ours.add((node.target.id, path))
    anywhere = {name for name, _ in ours}
    for path, tree in trees.items():
        where = path.relative_to(SOURCES).as_posix()
        for node in ast.walk(tree):
            names = [node.attr] if isinstance(node, ast.Attribute) else []
            if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("flexhook"):
                names += [alias.name for alias in node.names]
                names += (node.module or "").split(".") if node.module != "__future__" else []
            used |= {(name, where) for name in names if re.fullmatch("_[a-z].*[^_]", name) and name not in anywhere}
    return used


def test_no_private_name_of_another_package_is_used_that_is_not_listed():
    overridden = {key for key in PRIVATE if key[1] == "training/checkpoints.py"}  # defined here, so not found as foreign
    assert private_names() == PRIVATE.keys() - overridden
    source = (SOURCES / "training/checkpoints.py").read_text()
    assert all(name in source for name, _ in overridden)


@pytest.mark.parametrize(("name", "owner", "package"), [(name, *rest) for (name, _), rest in PRIVATE.items()])
def test_the_installed_version_has_it_and_the_bounds_hold_that_version(name, owner, package):
    assert name in dir(owner)
    text = next(line for line in PYPROJECT.read_text().splitlines() if line.strip().startswith(f'"{package}'))
    bounds = Requirement(text.split('"')[1]).specifier
    assert {clause.operator for clause in bounds} == {">=", "<"}
    assert metadata.version(package) in bounds


def test_the_overridden_function_is_the_one_that_lightning_calls():
    source = Path(inspect.getfile(ModelCheckpoint)).read_text()
    assert "self._save_topk_checkpoint(trainer, monitor_candidates)" in source
    assert "self._last_global_step_saved == trainer.global_step" in source

