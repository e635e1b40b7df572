import sys
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from benchmarks.sweep import SweepError, read_sweep

ROOT = Path(__file__).parents[2]


def write(file: Path, **changes: object) -> Path:
    sweep = {
        "method": "grid",
        "command": ["${env}", "semsynth", "fit", "${args}"],
        "parameters": {
            "a.b": {"values": [1, 2]},
            "c": {"values": [True, False]},
            "d": {"value": 3},
        },
    }
    file.write_text(yaml.safe_dump(sweep | changes))
    return file


def test_grid_has_every_combination_in_order(tmp_path: Path) -> None:
    points = read_sweep(write(tmp_path / "s.yaml"))
    assert [tuple(p.parameters.values()) for p in points] == [
        (1, True, 3),
        (1, False, 3),
        (2, True, 3),
        (2, False, 3),
    ]
    assert len({p.name for p in points}) == 4
    assert all("d=" not in p.name for p in points)  # it has one value


def test_command_is_filled_in_for_this_interpreter(tmp_path: Path) -> None:
    point = read_sweep(write(tmp_path / "s.yaml"))[0]
    start = (sys.executable, "-m", "semsynth", "fit")
    assert point.command == (*start, "--a.b=1", "--c=True", "--d=3")


def test_arguments_equal_those_of_the_wandb_agent() -> None:
    file = ROOT / "benchmarks/toy.yaml"
    sweep = yaml.safe_load(file.read_text())
    for point in read_sweep(file):
        run = {"args": {key: {"value": value} for key, value in point.parameters.items()}}
        theirs = create_sweep_command_args(run)["args"]
        assert list(point.command)[-len(theirs) :] == theirs
        assert create_sweep_command(sweep["command"])[-1] == "${args}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "bayes"}, "method is 'bayes'; only grid"),
        ({"parameters": {"a": 3}}, "parameter a must have `value` or a list `values`, got 3"),
        ({"parameters": {"a": {"values": 3}}}, "parameter a must have"),
    ],
)
def test_what_is_no_grid_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SweepError, match=message):
        read_sweep(write(tmp_path / "s.yaml", **changes))


def test_missing_file_and_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"gone\.yaml cannot be read"):
        read_sweep(tmp_path / "gone.yaml")
    (tmp_path / "s.yaml").write_text("method: grid\n")
    with pytest.raises(SweepError, match="must have the keys"):
        read_sweep(tmp_path / "s.yaml")
