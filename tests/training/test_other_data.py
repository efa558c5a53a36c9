"""What a checkpoint brings to other data: never its tracker or its calibration without a word."""

import shutil

import pytest
from omegaconf import OmegaConf
from toy_world import run_here

from flexhook.configuration.resolvers import config_folder
from flexhook.trackers.from_config import build_tracker
from flexhook.trackers.mot_files import TrackerFiles
from flexhook.trackers.simulated import SimulatedTracks, TrueTracks


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """A checkpoint of a run with a simulated tracker and a calibration."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    toy.run(folder, "optim.epochs=1", "test=false", "ablation=tracker/x2", "scoring=calibrated")
    return folder / "checkpoints/last.ckpt"


@pytest.fixture
def score(toy, trained, tmp_path):
    """``flexhook score`` on the toy world, moved, under a name of a dataset: (exit status, output, configuration)."""
    root = shutil.copytree(toy.root, tmp_path / "world")

    def run(*overrides, name=None):
        given = []
        if name is not None:
            ours = [o for o in toy.overrides if o.startswith("data")]
            given = [f"data.root={root}" if o.startswith("data.root") else o for o in ours] + [f"data.name={name}"]
        status, said = run_here(["score", f"ckpt={trained}", f"out={tmp_path}/out", "videos=[u]", *given, *overrides], tmp_path)
        return status, said, OmegaConf.load(tmp_path / "out/config.yaml") if status == 0 else None

    run.root = root
    return run


def test_a_checkpoints_own_data_keep_its_tracker_and_its_calibration(score):
    for name in (None, "refer_kitti"):
        status, said, cfg = score(name=name)
        assert status == 0, said
        tracker = build_tracker(cfg)
        assert isinstance(tracker, SimulatedTracks)
        assert tracker.errors.scale == 2
        assert cfg.scoring.calibration is not None
        assert "not that of the checkpoint" not in said


def test_other_data_have_their_own_tracker_and_that_is_said(score):
    status, said, cfg = score("scoring.calibration=null", name="other")
    assert status == 0, said
    tracker = build_tracker(cfg)
    assert isinstance(tracker, TrackerFiles)
    assert tracker.root == score.root / "tracks"
    assert f"TrackerFiles of {score.root}/tracks, not that of the checkpoint, SimulatedTracks" in said


@pytest.mark.parametrize("name", [None, "refer_kitti", "other"])
def test_a_tracker_that_is_given_counts(score, name):
    status, said, cfg = score("tracker=truth", "scoring.calibration=null", name=name)
    assert status == 0, said
    assert isinstance(build_tracker(cfg), TrueTracks)
    status, said, cfg = score("tracker=per_class", "tracker.min_confidence=0.5", "scoring.calibration=null", name=name)
    assert status == 0, said
    assert build_tracker(cfg).min_confidence == 0.5


def test_other_data_without_a_tracker_are_one_message(score, tmp_path):
    own = config_folder() / "data/refer_kitti.yaml"
    (tmp_path / "conf/data").mkdir(parents=True)
    lines = [line for line in own.read_text().splitlines() if "/tracker" not in line]
    (tmp_path / "conf/data/mine.yaml").write_text("\n".join(lines).replace("name: refer_kitti", "name: mine"))
    data = ("data=mine", f"data.root={score.root}", f"hydra.searchpath=[file://{tmp_path}/conf]", "scoring.calibration=null")
    status, said, _ = score(*data)
    assert status == 2
    assert "the data mine has no tracker of its own" in said
    assert "tracker=truth" in said


def test_a_calibration_is_not_fitted_to_other_data_without_a_word(score):
    status, said, _ = score(name="other")
    assert status == 2
    assert "scoring.calibration=null scores without it, scoring=calibrated fits it" in said
    status, said, cfg = score("scoring=calibrated", name="other")
    assert status == 0, said
    assert cfg.scoring.calibration.weight == 8


def test_a_runs_data_are_found_from_another_folder(tiny, tmp_path):
    """``data/synthetic_tiny`` is relative to the folder that the training ran in, which lies above the run."""
    checkpoint = next((tiny.run / "checkpoints").glob("epoch*"))
    for argv, words in (
        (["score", f"ckpt={checkpoint}", f"out={tmp_path}/out"], "the data of the checkpoint lie in"),
        (["evaluate", f"run={tiny.run}", f"out={tmp_path}"], "metrics.json"),
        (["render", tiny.run, "--out", tmp_path / "pictures", "--best", "1", "--worst", "0"], ""),
    ):
        status, said = run_here(argv, tmp_path)
        assert status == 0 and words in said, said
    assert not (tmp_path / "data").exists()
    moved = tmp_path / "alone" / "run"
    shutil.copytree(tiny.run, moved)
    for argv in (["score", f"ckpt={next((moved / 'checkpoints').glob('epoch*'))}", f"out={tmp_path}/out"],
                 ["evaluate", f"run={moved}"], ["render", moved]):
        status, said = run_here(argv, tmp_path)
        assert status == 2 and "data/synthetic_tiny" in said and "root=" in said, said
    assert not (tmp_path / "data").exists()


def test_the_root_alone_moves_the_data_of_the_checkpoint(score):
    status, said, cfg = score(f"data.root={score.root}")
    assert status == 0, said
    assert f"the data of the checkpoint lie in {score.root}" in said
    assert cfg.data.root == str(score.root)
    assert cfg.data.reader.splits.test == ["u", "v", "w"]
    status, said, _ = score("data.root=nowhere")
    assert status == 2
    assert "are not in nowhere" in said and "Give data.root=FOLDER, or run the command where" in said
    assert "the dataset's folder is not named. Expected data.root=FOLDER" in score("data=refer_kitti")[1]
