import subprocess
import sys

import pytest

from semsynth import __version__
from semsynth.cli import COMMANDS, TOOLS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert all(command in text for command in (*COMMANDS, *TOOLS))


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"semsynth {__version__}\n"


def test_unknown_command_names_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["train"])
    assert exit_info.value.code == 2
    assert "fit" in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], *([name] for name in TOOLS), ["data", "check"]])
def test_help_imports_no_torch(args: list[str]) -> None:
    code = (
        "import sys; from semsynth.cli import main\n"
        f"try: main({[*args, '--help']})\n"
        "except SystemExit: pass\n"
        "print({'torch', 'lightning', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("set()\n")


def test_help_of_data_shows_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["data", "--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert "check" in text
    assert "prepare" in text


@pytest.mark.parametrize(
    "args", [["check"], ["check", "--config", "a", "--data", "b"], ["prepare", "ade20k"], ["fix"]]
)
def test_incomplete_data_command_is_refused(args: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["data", *args])
    assert exit_info.value.code == 2


def test_module_runs_like_the_command() -> None:
    command = [sys.executable, "-m", "semsynth", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == f"semsynth {__version__}\n"
