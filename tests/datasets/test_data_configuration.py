"""Datasets named on the command line: every option is there, and a mistake is one message that says what to do."""

import inspect
import re
import textwrap

import hydra
import layouts
import pytest
import small_world as world
from omegaconf import DictConfig, OmegaConf

from flexhook.commands.data import run
from flexhook.commands.data_config import compose_data
from flexhook.configuration.resolvers import config_folder
from flexhook.errors import InputError

NAMES = sorted(path.stem for path in (config_folder() / "data").glob("*.yaml"))


def with_target(config):
    """Every part of a configuration that makes an object of the data rooms."""
    if isinstance(config, DictConfig):
        if "_target_" in config:
            yield config
        for key in [key for key in config if not OmegaConf.is_missing(config, key)]:
            yield from with_target(config._get_node(key))


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("synthetic")])
def test_every_option_of_reader_and_tracker_can_be_set_from_the_command_line(name):
    for part in with_target(compose_data([f"data={name}", "data.root=/nowhere"])):
        options = set(inspect.signature(hydra.utils.get_class(part._target_)).parameters)
        assert options - set(part) <= ({"classes"} if part.get("layout") == "per_video" else set())


def test_what_hints_tell_to_set_can_be_set():
    sources = [p for room in ("datasets", "trackers") for p in (config_folder().parent / "src/flexhook" / room).glob("*.py")]
    text = "\n".join(path.read_text() for path in sorted(sources))
    hinted = set(re.findall(r"((?:data\.reader|(?<!data\.)tracker)\.[a-z_]+=[a-z]+)", text))
    assert {"tracker.empty_boxes=drop", "data.reader.on_missing_referent=drop"} <= hinted
    for name in ("refer_kitti", "refer_dance", "kitti", "refer_kitti_ikun"):
        compose_data([f"data={name}", "data.root=/nowhere", *sorted(hinted)])


def check(*arguments):
    with pytest.raises(InputError) as caught:
        run(["check", *arguments])
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data.root=/tmp"], "no dataset is named"),
        (["data=refer_kity", "data.root=/tmp"], "there is no configuration data/refer_kity. Expected one of kitti"),
        (["data=refer_kitti"], "the dataset's folder is not named. Expected data.root=FOLDER"),
        (["data=refer_kitti", "data.root=/no/such"], "/no/such: the dataset's folder does not exist"),
        (["data=refer_kitti", "data.root=~/x"], "'data.root=~/x' cannot be read"),
        (["data=kitti", "data.root=/tmp", "data.reader.truth.path={video}.txt"], "needs quotes of its own"),
        (["data=kitti", "data.root=/tmp", "data.reader.truht=x"], "Could not override 'data.reader.truht' (Key 'truht'"),
        (["data=kitti", "data.root=/tmp", "tracker.first_frame=one"], "tracker cannot be made: invalid literal"),
        (["data=kitti", "data.root=/tmp", "data.reader=null"], "no data.reader"),
        (["data=kitti", "data.root=/tmp", "seed=1"], "'seed=1' is not about data"),
    ],
)
def test_a_mistake_is_one_message(arguments, words):
    assert words in check(*arguments)


OWN = """name: mine
root: ROOT
reader:
  _target_: flexhook.datasets.dataset.Dataset
  root: ${data.root}
  splits: {train: ["0001"]}
  sizes: {default: [100, 200]}
""" + textwrap.indent(textwrap.dedent(layouts.REFER_KITTI_PARTS), "  ")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("splits:", "- x\n  splits:", r"mine.yaml:\d: not valid YAML"),
        ("name", "\0", "not valid YAML"),
        ("  _target_: flexhook.datasets.dataset.Dataset\n", "", "data.reader does not make a reader"),
        ("dataset.Dataset", "dataset.Datsaet", "data.reader cannot be made: .*Datsaet"),
        ("sizes:", "imags: x\n  sizes:", "unexpected keyword argument 'imags'"),
        ("${data.root}", "${data.rot}", "'data.rot' not found"),
        ('"0001"', "0001", "names video 1.*Put the name in quotes"),
        (OWN, "", "no data.reader"),
    ],
)
def test_a_mistake_in_a_configuration_of_ones_own_is_one_message(tmp_path, old, new, words):
    assert old in OWN
    world.text(
        tmp_path / "conf/data/mine.yaml", OWN.replace(old, new).replace("ROOT", str(world.refer_kitti(tmp_path / "data")))
    )
    assert re.search(words, check("data=mine", "--config-dir", str(tmp_path / "conf")), re.DOTALL)


def test_a_configuration_without_name_and_root_has_its_files_and_its_readers(tmp_path):
    root = world.refer_kitti(tmp_path / "data")
    own = OWN.replace("name: mine\nroot: ROOT\n", "").replace("${data.root}", str(root))
    world.text(tmp_path / "conf/data/mine.yaml", own)
    config = compose_data(["data=mine"], tmp_path / "conf")
    assert (config.data.name, config.data.root) == ("mine", str(root))
    assert run(["check", "data=mine", "--config-dir", str(tmp_path / "conf")]) == 0
