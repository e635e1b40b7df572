import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_reference_is_built_without_a_warning(tmp_path: Path) -> None:
    command = ["-m", "pdoc", "--docformat", "google", "--output-directory", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command, "semsynth"], capture_output=True, text=True, check=True
    )
    assert "warn" not in done.stderr.lower(), done.stderr
    page = (tmp_path / "semsynth/methods.html").read_text()  # public names stand with their room
    assert 'href="#CLVAE.__init__"' in page
    assert "Weight of the KL term" in page
