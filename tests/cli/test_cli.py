import subprocess
import sys

import pytest

from semsynth import __version__
from semsynth.cli import COMMANDS, TOOLS
from tests.helpers.command import status_of


@pytest.mark.parametrize(
    ("words", "status", "parts"),
    [
        (["--help"], 0, [*COMMANDS, *TOOLS]),
        (["data", "--help"], 0, ["check", "prepare"]),
        (["--version"], 0, [f"semsynth {__version__}\n"]),
        (["train"], 2, ["fit"]),
    ],
)
def test_help_and_errors_name_every_command(
    words: list[str], status: int, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(words) == status
    said = capsys.readouterr()
    assert all(part in said.out + said.err for part in parts)


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        *(f"{name} --help" for name in TOOLS),
        "data check --help",
        "completion zsh",
        "weights list",
    ],
)
def test_help_and_completion_import_no_torch(words: str) -> None:
    code = f"""import sys; from semsynth.cli import main
try: main({words.split()})
except SystemExit: pass
print({{'torch', 'lightning', 'numpy'}} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("set()\n")


def test_module_runs_like_the_command() -> None:
    command = [sys.executable, "-m", "semsynth", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == f"semsynth {__version__}\n"
