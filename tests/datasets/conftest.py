import pytest


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    """Tests leave nothing in the user's cache; those of the cache give a folder."""
    monkeypatch.setenv("FLEXHOOK_CACHE", "off")
