import layouts
import pytest

from flexhook.synthetic import WorldConfig, generate
from flexhook.synthetic.world import simulate_world

TINY = WorldConfig(train_videos=2, val_videos=1, test_videos=1, frames=16, expressions=24, image_height=96)


@pytest.fixture(scope="session")
def tiny():
    return TINY


@pytest.fixture(scope="session")
def default_world():
    """All videos of the default set, without pictures."""
    return simulate_world(WorldConfig())


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory):
    """A small set on disk."""
    root = tmp_path_factory.mktemp("synthetic") / "tiny"
    generate(root, TINY, workers=2)
    return root


@pytest.fixture(scope="session")
def tiny_reader(tiny_root):
    return layouts.refer_kitti(tiny_root, TINY.splits, {"default": TINY.size})
