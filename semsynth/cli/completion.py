"""``semsynth completion SHELL``: a script that completes commands, flags and files."""

import argparse
import sys
from importlib import import_module

import shtab

EPILOG = """\
bash  semsynth completion bash > ~/.local/share/bash-completion/completions/semsynth
zsh   semsynth completion zsh > DIR/_semsynth, where DIR is in $fpath
fish  semsynth completion fish > ~/.config/fish/completions/semsynth.fish
"""
SHELLS = ("bash", "zsh", "fish")
FILES = {"--config": "FILE", "--ckpt_path": "FILE", "--masks": "DIR", "--output": "DIR"}
SHARED = ("--config", "--ckpt_path", "--run_dir", "--overwrite", "--print_config")
OF_COMMAND = {  # the flags that one types most; all others are keys of YAML
    "fit": ("--print-sbatch", "--model.help", "--data.help", "--trainer.devices", "--data.root"),
    "validate": ("--data.root",),
    "test": ("--data.root",),
    "predict": ("--masks", "--output", "--num_samples", "--seed", "--style.reference"),
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth completion",
        description="Print a script for your shell that completes commands, flags and files.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="your shell")
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    sys.stdout.write(shtab.complete(whole_parser(), options.shell) + "\n")


def whole_parser() -> argparse.ArgumentParser:
    """All commands and tools with their flags, built without torch."""
    from semsynth.cli import COMMANDS, TOOLS  # it imports this module by name

    parser = argparse.ArgumentParser(prog="semsynth")
    commands = parser.add_subparsers()
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        for flag in (*SHARED, *OF_COMMAND[name]):
            add_flag(command, flag)
    for name, (text, module) in TOOLS.items():
        tool = import_module(module).build_parser()
        tool.prog = f"semsynth {name}"
        commands.add_parser(name, help=text)
        commands.choices[name] = tool
    for action in actions_below(parser):
        if action.metavar in ("FILE", "DIR"):
            action.complete = shtab.FILE if action.metavar == "FILE" else shtab.DIRECTORY  # type: ignore[attr-defined]
    return parser


def add_flag(parser: argparse.ArgumentParser, flag: str) -> None:
    """Add a flag that takes a value."""
    parser.add_argument(flag, metavar=FILES.get(flag, "VALUE"))


def actions_below(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Arguments of a parser and of its commands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found += actions_below(inner)
    return found
