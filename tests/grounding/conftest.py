"""Tiny pretrained models, a world of coloured rectangles, and caches of their own."""

import pytest
from colour_method import write_colour_world
from sentence_detectors import save_grounding_dino


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Model folders by kind."""
    return {kind: save_grounding_dino(tmp_path_factory.mktemp(kind), kind) for kind in ("GroundingDino", "MMGroundingDino")}


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Videos a, b, c, d of ten frames with a red and a blue rectangle each."""
    root = tmp_path_factory.mktemp("colours")
    write_colour_world(root / "data", "abcd")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FLEXHOOK_CACHE", str(folder))
    return folder
