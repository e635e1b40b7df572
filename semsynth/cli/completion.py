"""``semsynth completion SHELL``: a script that completes commands, flags and files."""

import argparse
import sys
from pathlib import Path
from typing import Any, Literal

import shtab

from semsynth.cli.messages import type_of
from semsynth.cli.parsing import parser_of

FILES = {"--config": Path, "--ckpt_path": Path, "--masks": Path, "--output": Path}
SHARED = ("--config", "--ckpt_path", "--run_dir", "--overwrite", "--print_config")
OF_COMMAND = {  # the most common flags; all others are keys of YAML
    "fit": ("--print-sbatch", "--model.help", "--data.help", "--trainer.devices", "--data.root"),
    "validate": ("--data.root",),
    "test": ("--data.root",),
    "predict": ("--masks", "--output", "--num_samples", "--seed", "--style.reference"),
}


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script for your shell that completes commands, flags and files.

    bash  semsynth completion bash > ~/.local/share/bash-completion/completions/semsynth
    zsh   semsynth completion zsh > DIR/_semsynth, where DIR is in $fpath
    fish  semsynth completion fish > ~/.config/fish/completions/semsynth.fish

    Args:
        shell: Your shell.
    """
    sys.stdout.write(shtab.complete(whole_parser(), shell) + "\n")


def whole_parser() -> argparse.ArgumentParser:
    """All commands and tools with their flags, built without torch."""
    from semsynth.cli import COMMANDS, TOOLS, menu, tool, verbs  # it imports this module by name

    parser = argparse.ArgumentParser(prog="semsynth")
    commands = parser.add_subparsers()
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        for flag in (*SHARED, *OF_COMMAND[name]):
            command.add_argument(flag, type=FILES.get(flag, str))
    for name, text in TOOLS.items():
        function, prog = tool(name), f"semsynth {name}"
        if isinstance(function, dict):
            below = {verb: parser_of(f, f"{prog} {verb}") for verb, f in function.items()}
            made: Any = menu(prog, verbs(function))
            made._subparsers._group_actions[0].choices.update(below)
        else:
            made = parser_of(function, prog)
        commands.add_parser(name, help=text)
        commands.choices[name] = made
    for action in actions_below(parser):
        if type_of(action) is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # and directories
    return parser


def actions_below(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Arguments of a parser and of its commands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found += actions_below(inner)
    return found
