import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.sweep import SweepError, read_sweep


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
    values = [tuple(point.parameters.values()) for point in points]
    assert values == [(1, True, 3), (1, False, 3), (2, True, 3), (2, False, 3)]
    assert len({p.name for p in points}) == 4
    assert all("d=" not in p.name for p in points)  # it has one value


def test_command_is_filled_in_for_this_interpreter(tmp_path: Path) -> None:
    point = read_sweep(write(tmp_path / "s.yaml"))[0]
    start = (sys.executable, "-m", "semsynth", "fit")
    assert point.command == (*start, "--a.b=1", "--c=True", "--d=3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "random"}, "method is 'random'; only grid can be run here"),
        ({"parameters": {"a": 3}}, "parameter a must have `value` or a list `values`, got 3"),
        ({"parameters": {"a": {"values": 3}}}, "parameter a must have"),
        ({"parameters": {"a": {"values": []}}}, r"parameter a must have .*got \{'values': \[\]\}"),
        ({"parameters": None}, "parameters must be a mapping"),
        ({"parameters": float("nan")}, "parameters must be a mapping"),
        ({"parameters": {"a": {"value": float("nan")}}}, "a is nan; give a finite number"),
        ({"parameters": {"seed_everything": {"value": -1}}}, "seed_everything is -1; give a seed"),
        ({"parameters": {"config": {"values": ['a "b', 'c "d']}}}, "config: No closing quotation"),
        ({"parameters": {"config": {"value": ""}}}, "config names no file"),
        ({"command": "semsynth fit"}, "command a list of words"),
        ({"parameters": {"a": {"values": [1, None]}}}, 'a has the value null.* write "null"'),
    ],
)
def test_what_cannot_be_run_is_refused(
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


def test_flags_that_go_with_a_file_are_in_the_name_of_the_point(tmp_path: Path) -> None:
    files = ["experiments/clvae/a.yaml", "experiments/clvae/a.yaml --model.class_wise false"]
    sweep = write(tmp_path / "s.yaml", parameters={"config": {"values": files}})
    names = [point.name.rsplit("-", 1)[0] for point in read_sweep(sweep)]
    assert names == ["clvae_a", "clvae_a-class_wise=false"]
