"""Every experiment and every point of every sweep is a configuration that the commands take.

Points are rendered by the code of W&B's own agent, and must mean the same as by ours.
"""

import json
import re
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


def but_for_seeds(point: Point) -> str:
    """All that is said of a point, without its seeds."""
    said = {key: value for key, value in point.parameters.items() if "seed" not in key}
    return re.sub(r"--\S*seed\S* \d+", "", json.dumps(said))


def differing(points: list[Point]) -> list[Point]:
    """One point of those that differ by a seed alone, which would all be the same to a test."""
    return list({but_for_seeds(point): point for point in points}.values())


POINTS = [(file, point) for file in TRAININGS for point in differing(read_sweep(file))]
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
    file: Path, point: Point, monkeypatch: pytest.MonkeyPatch, directory: Path
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
    sweep = load(file)
    agent = wandb_agent.Agent(None, None, sweep_id="s", in_jupyter=False)
    agent._sweep_command = sweep["command"]
    # The server may give the parameters in any order.
    args = {key: {"value": value} for key, value in sorted(point.parameters.items(), reverse=True)}
    run: Any = agent._command_run
    run({"run_id": "r", "program": sweep.get("program"), "args": args})
    return started[0]


@pytest.mark.parametrize(("file", "point"), POINTS, ids=IDS)
def test_point_means_the_same_to_the_agent_of_wandb(
    file: Path,
    point: Point,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(ROOT)
    ours = list(point.command)
    theirs = command_of_agent(file, point, monkeypatch, tmp_path)
    assert theirs[:2] == ["/usr/bin/env", "semsynth"]
    configs = [printed_config(words[words.index("fit") :], capsys) for words in (ours, theirs)]
    assert configs[0] == configs[1]
    for key, value in point.parameters.items():
        if key.endswith("+"):  # a list that is added to
            ends = value_at(configs[0], key[:-1])[-len(value) :]
            names = [entry["class_path"].rsplit(".", 1)[-1] for entry in ends]
            assert names == [entry["class_path"] for entry in value]
        elif key != "config":  # a file, perhaps with flags
            assert value_at(configs[0], key) in (value, str(value))  # devices may be words


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
