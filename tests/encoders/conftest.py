import pytest
from huggingface_hub import constants


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """The hub does not answer and its cache is empty."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "no_cache"))
