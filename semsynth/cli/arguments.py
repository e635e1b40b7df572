"""The words of a training command, before the parser reads them."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from semsynth.callbacks import run_directory
from semsynth.cli.parsing import joined_numbers
from semsynth.cli.sbatch import value_of
from semsynth.methods.base import without_retired

SWITCHES = ("--overwrite", "--verbose", "--test_after_fit")


def normalised(args: list[str]) -> list[str]:
    """The words in the order and form that the parser needs.

    Configuration files come first, without the places of the runs that they were saved by; a
    checkpoint brings the configuration of its run; a bare switch means true; numbers after a flag
    are a list.
    """
    words = joined_numbers(files_first(with_values(args)))
    return with_config_of_run(without_places(words))


def config_files(args: list[str]) -> tuple[str, ...]:
    """Files given by ``--config`` or ``-c``."""
    pairs = zip(args, [*args[1:], ""], strict=True)
    return tuple(
        arg.partition("=")[2] or following
        for arg, following in pairs
        if arg.partition("=")[0] in ("-c", "--config")
    )


def with_values(args: list[str]) -> list[str]:
    """Give switches without a value the value true."""
    following = [*args[1:], "--"]
    bare = [a in SWITCHES and b.startswith("-") for a, b in zip(args, following, strict=True)]
    return [f"{arg}=true" if switch else arg for arg, switch in zip(args, bare, strict=True)]


def files_first(args: list[str]) -> list[str]:
    """Put configuration files before the flags that override their values.

    W&B's agent sorts flags by its own rules. A sweep may also give flags together with a file, as
    the value of one parameter: ``--config="FILE --KEY VALUE"``.
    """
    files, flags, rest = [], [], iter(args[1:])
    for arg in rest:
        if arg.partition("=")[0] not in ("-c", "--config"):
            flags.append(arg)
            continue
        value = arg.partition("=")[2] or next(rest, "")
        words = [value]
        with suppress(ValueError):  # of a quote that is not closed: the file is then missing
            words = words if Path(value).is_file() else shlex.split(value)
        files += ["--config", *(words[:1] or [value]), *words[1:]]
    return [args[0], *files, *flags]


def without_places(args: list[str]) -> list[str]:
    """Let a saved configuration say nothing about where its run was kept.

    Earlier versions saved it. With ``--ckpt_path last`` alone, the run of the file is meant.
    """
    kept: list[str] = []
    for before, arg in zip(["", *args[:-1]], args, strict=True):
        kept.append(arg)
        if before == "--config" and run_directory.names_its_place(Path(arg)):
            kept += ["--run_dir=null", "--checkpoint.dirpath=null"]
            kept += ["--trainer.default_root_dir=null"]
    last = value_of(args, "--ckpt_path", "") == "last" and not value_of(args, "--run_dir", "")
    runs = [Path(file).parent for file in config_files(args) if Path(file).name == "config.yaml"]
    if last and runs and (runs[-1] / "checkpoints").is_dir():
        kept.append(f"--run_dir={runs[-1]}")
    return kept


def with_config_of_run(args: list[str]) -> list[str]:
    """Add the configuration of the checkpoint's run, or of ``--run_dir``, if none is given."""
    if config_files(args) or "-h" in args or "--help" in args:
        return args
    checkpoint, run_dir = (value_of(args, flag, "") for flag in ("--ckpt_path", "--run_dir"))
    last = checkpoint == "last" and run_dir
    directory = Path(run_dir) if last else run_directory.of_checkpoint(checkpoint)
    config = directory / "config.yaml"
    if not checkpoint or not config.is_file():
        return args
    added = without_places([args[0], "--config", str(config), f"--run_dir={directory}"])
    return [*added, *args[1:]]


def less_retired(values: Any) -> Any:
    """A configuration without the retired arguments of its classes."""
    if isinstance(values, list):
        return [less_retired(value) for value in values]
    if not isinstance(values, dict):
        return values
    kept = {key: less_retired(value) for key, value in values.items()}
    if isinstance(arguments := kept.get("init_args"), dict):
        kept["init_args"] = without_retired(arguments)
    return kept


def experiment_file(files: list[Any]) -> str | None:
    """The first file that is an experiment's, not the saved configuration of a run."""
    return next((str(file) for file in files if Path(str(file)).name != "config.yaml"), None)
