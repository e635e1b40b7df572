import subprocess
from pathlib import Path

import pytest

from semsynth.cli import COMMANDS, TOOLS, main
from semsynth.cli.completion import OF_COMMAND, SHARED


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_names_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", shell])
    script = capsys.readouterr().out
    assert all(name in script for name in (*COMMANDS, *TOOLS))
    assert "truncation" in script  # a flag of a tool


def complete_in_bash(script: Path, words: str) -> list[str]:
    """What bash would offer after some words, of which the last one is being typed."""
    typed = words.split(" ")
    code = (
        f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; "
        f"COMP_TYPE=9; _shtab_semsynth; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_verbs_and_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["completion", "bash"])
    script = tmp_path / "semsynth.bash"
    script.write_text(capsys.readouterr().out)
    assert complete_in_bash(script, "semsynth ev") == ["evaluate"]
    assert complete_in_bash(script, "semsynth data pre") == ["prepare"]
    assert complete_in_bash(script, "semsynth draw --pri") == ["--prior"]


def test_flags_of_the_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        text = capsys.readouterr().out
        flags = {*SHARED, *OF_COMMAND[command]} - {"--print-sbatch", "--data.root"}
        assert [flag for flag in flags if flag not in text] == []
