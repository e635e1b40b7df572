"""The batch script of a training on SLURM: ``semsynth fit --print-sbatch [KEY=VALUE ...] ...``."""

import shlex

from semsynth.errors import UserError

SCRIPT = """\
#!/bin/bash
{header}

# After --signal or preemption the job is requeued and resumes from its last checkpoint.
srun {command}
"""
DEFAULTS = {"job-name": "semsynth", "time": "24:00:00", "signal": "SIGUSR1@90"}
FLAGS = ("--print-sbatch", "--print_sbatch")


def wants_script(args: list[str]) -> bool:
    """Whether arguments request a script instead of a training."""
    return any(flag in args for flag in FLAGS)


def script(args: list[str]) -> str:
    """The script that runs a command with these arguments.

    Words ``KEY=VALUE`` after the flag are options of sbatch. Nodes and tasks follow from
    ``--trainer.num_nodes`` and ``--trainer.devices``.
    """
    at = next(i for i, arg in enumerate(args) if arg in FLAGS)
    end = at + 1
    while end < len(args) and "=" in args[end] and not args[end].startswith("-"):
        end += 1
    words, rest = args[at + 1 : end], [*args[:at], *args[end:]]
    nodes, devices = (value_of(rest, f"--trainer.{key}") for key in ("num_nodes", "devices"))
    options = DEFAULTS | {"nodes": nodes, "ntasks-per-node": devices}
    if value_of(rest, "--trainer.accelerator", "auto") != "cpu":
        options["gpus-per-node"] = devices
    options |= dict(word.split("=", 1) for word in words)
    if not options["ntasks-per-node"].isdigit():
        raise UserError(f"{FLAGS[0]} needs --trainer.devices as a number, got {devices!r}.")
    flags = [f"#SBATCH --{key}={value}" for key, value in options.items()]
    flags += ["#SBATCH --requeue", "#SBATCH --open-mode=append"]
    if value_of(rest, "--ckpt_path", "") == "":
        rest += ["--ckpt_path", "last"]
    return SCRIPT.format(header="\n".join(flags), command=shlex.join(["semsynth", *rest]))


def value_of(args: list[str], flag: str, default: str = "1") -> str:
    """The last value of a flag, given as ``FLAG VALUE`` or ``FLAG=VALUE``."""
    found = default
    for arg, following in zip(args, [*args[1:], ""], strict=True):
        key, equals, value = arg.partition("=")
        if key == flag:
            found = value if equals else following
    return found
