"""Every experiment and every point of every sweep is a configuration that the commands take."""

from pathlib import Path

import pytest
import yaml

from benchmarks.sweep import read_sweep
from semsynth.cli import main

ROOT = Path(__file__).parents[1]
SWEEPS = [*ROOT.glob("benchmarks/*.yaml"), *ROOT.glob("experiments/*/sweeps/*.yaml")]
EXPERIMENTS = [p for p in ROOT.glob("experiments/**/*.yaml") if p not in SWEEPS]
POINTS = [(file, point) for file in SWEEPS for point in read_sweep(file)]


def printed_config(args: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    with pytest.raises(SystemExit) as exit_info:
        main([*args, "--print_config"])
    assert exit_info.value.code in (0, None)
    return yaml.safe_load(capsys.readouterr().out)


def test_there_are_experiments_and_sweeps() -> None:
    assert EXPERIMENTS
    assert POINTS


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_experiment_is_a_configuration(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = printed_config(["fit", "--config", str(file)], capsys)
    assert {"model", "data", "trainer", "evaluation", "checkpoint"} <= config.keys()


@pytest.mark.parametrize(("file", "point"), POINTS, ids=[p.name for _, p in POINTS])
def test_point_of_a_sweep_is_a_configuration_with_its_values(
    file: Path,
    point: object,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    command = point.command  # type: ignore[attr-defined]
    args = list(command[command.index("fit") :])
    config = printed_config(args, capsys)
    for key, value in point.parameters.items():  # type: ignore[attr-defined]
        node: object = config
        for part in key.replace("model.", "model.init_args.").split("."):
            assert isinstance(node, dict)
            node = node[part]
        assert node == value
