from pathlib import Path

import pytest


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory that is searched for weights; it is empty."""
    for variable in ("SEMSYNTH_WEIGHTS", "SEMSYNTH_HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path
