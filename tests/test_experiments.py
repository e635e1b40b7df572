"""Every experiment and every point of every sweep is a configuration that the commands take.

Points are rendered by the code of W&B's own agent, and must mean the same as by ours.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb import wandb_agent

from benchmarks.sweep import Point, load, read_sweep
from semsynth.cli import main

ROOT = Path(__file__).parents[1]
SWEEPS = [
    *ROOT.glob("benchmarks/suites/*.yaml"),
    *ROOT.glob("experiments/*/sweeps/*.yaml"),
]
EXPERIMENTS = [p for p in ROOT.glob("experiments/**/*.yaml") if p not in SWEEPS]
TRAININGS = [file for file in SWEEPS if "fit" in load(file)["command"]]


def flags(point: Point) -> set[tuple[str, str]]:
    """The flags of a point, but for seeds, each with the experiment that it is given to."""
    given = re.split(r" (?=--)", " ".join(point.command).partition(" fit ")[2])
    (experiment,) = (flag for flag in given if flag.startswith("--config"))
    return {(experiment, flag) for flag in given if "seed" not in flag}


def points_with_new_flags() -> Iterator[tuple[Path, Point]]:
    """Enough points that every flag is given to every experiment that a sweep gives it to."""
    seen = set[tuple[str, str]]()
    for file in TRAININGS:
        for point in read_sweep(file):
            if not flags(point) <= seen:
                seen |= flags(point)
                yield file, point


POINTS = list(points_with_new_flags())
IDS = [f"{file.stem}-{point.name}" for file, point in POINTS]


def printed_config(args: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as exit_info:
        main([*args, "--print_config"])
    captured = capsys.readouterr()
    assert exit_info.value.code in (0, None), captured.err
    return yaml.safe_load(captured.out)


def test_there_are_experiments_and_sweeps() -> None:
    assert EXPERIMENTS
    assert POINTS
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_experiment_is_a_configuration(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = printed_config(["fit", "--config", str(file)], capsys)
    assert {"model", "data", "trainer", "evaluation", "checkpoint"} <= config.keys()


def command_of_agent(
    sweep: dict[str, Any], point: Point, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> list[str]:
    """The command that W&B's agent starts for a point."""
    started: list[list[str]] = []

    def process(command: list[str], **_: Any) -> Any:
        started.append(command)
        return type("Process", (), {})()

    monkeypatch.setattr(wandb_agent, "AgentProcess", process)
    monkeypatch.setattr("wandb.Api", lambda *_, **__: None)
    monkeypatch.setenv("WANDB_DIR", str(directory))
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    monkeypatch.setenv("WANDB_RUN_ID", "r")  # the agent sets it; this takes it back
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "p")
    agent = wandb_agent.Agent(None, None, sweep_id="s", in_jupyter=False)
    agent._sweep_command = sweep["command"]
    # The server may give the parameters in any order.
    args = {key: {"value": value} for key, value in sorted(point.parameters.items(), reverse=True)}
    run: Any = agent._command_run
    run({"run_id": "r", "program": sweep.get("program"), "args": args})
    return started[0]


@pytest.mark.parametrize("file", TRAININGS, ids=lambda p: p.stem)
def test_agent_of_wandb_gives_the_same_flags(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sweep = load(file)
    for point in read_sweep(file):
        theirs = command_of_agent(sweep, point, monkeypatch, tmp_path)
        assert theirs[:2] == ["/usr/bin/env", "semsynth"]
        assert sorted(theirs[2:]) == sorted(point.command[point.command.index("fit") :])


@pytest.mark.parametrize(("file", "point"), POINTS, ids=IDS)
def test_point_is_a_configuration_in_whatever_order_its_flags_come(
    file: Path,
    point: Point,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(ROOT)
    command = command_of_agent(load(file), point, monkeypatch, tmp_path)
    config = printed_config(command[2:], capsys)
    for key, value in point.parameters.items():
        if key.endswith("+"):  # a list that is added to
            ends = value_at(config, key[:-1])[-len(value) :]
            names = [entry["class_path"].rsplit(".", 1)[-1] for entry in ends]
            assert names == [entry["class_path"] for entry in value]
        elif key != "config":  # a file, perhaps with flags
            assert value_at(config, key) in (value, str(value))  # devices may be words


def value_at(config: Any, key: str) -> Any:
    """The value of a dotted key, of a short one too."""
    for short in ("model", "data"):
        if key.startswith(f"{short}.") and not key.startswith(f"{short}.init_args."):
            key = key.replace(f"{short}.", f"{short}.init_args.", 1)
    for part in key.split("."):
        config = config[part]
    return config


def test_sweep_file_is_one_to_wandb() -> None:
    for file in SWEEPS:
        sweep = load(file)
        assert {"name", "program", "method", "command", "parameters"} <= sweep.keys(), file
        assert sweep["command"][0] == "${env}"
        assert "${args}" in sweep["command"]
