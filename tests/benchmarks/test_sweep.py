import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.sweep import SweepError, draw_value, read_sweep

RANDOM = {"method": "random", "run_cap": 3}


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "bayes"}, "method is 'bayes'; only grid and random"),
        ({"parameters": {"a": 3}}, "parameter a must have `value` or a list `values`, got 3"),
        ({"parameters": {"a": {"values": 3}}}, "parameter a must have"),
        ({"parameters": {"a": {"values": [1, None]}}}, 'a has the value null.* write "null"'),
        ({"method": "random"}, "needs run_cap"),
        (RANDOM | {"parameters": {"a": {"distribution": "beta"}}}, "a has the distribution 'beta'"),
        (RANDOM | {"parameters": {"a": {"min": 1}}}, "a of distribution uniform lacks 'max'"),
        (RANDOM | {"parameters": {"a": 3}}, "a must be a mapping, got 3"),
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


def test_random_points_are_those_of_their_seed(tmp_path: Path) -> None:
    drawn = {"lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}}
    file = write(tmp_path / "s.yaml", **RANDOM, parameters=drawn | {"c": {"value": 3}})
    first, again, other = (read_sweep(file, seed) for seed in (0, 0, 1))
    assert first == again
    assert len(first) == 3
    assert not {p.name for p in first} & {p.name for p in other}
    assert all(1e-5 <= p.parameters["lr"] <= 1e-2 for p in [*first, *other])
    assert first[0].varied == ("lr",)


@pytest.mark.parametrize(
    ("spec", "test"),
    [
        ({"values": ["a", "b"], "probabilities": [0.0, 1.0]}, lambda v: v == "b"),
        ({"min": 2, "max": 3}, lambda v: v in (2, 3) and isinstance(v, int)),
        ({"min": 2.0, "max": 3}, lambda v: 2 <= v <= 3),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1}, lambda v: len(str(v)) <= 3),
        ({"distribution": "q_uniform", "min": 0, "max": 9, "q": 4}, lambda v: v in (0, 4, 8)),
        ({"distribution": "log_uniform", "min": 0, "max": 1}, lambda v: 1 <= v <= 2.72),
        ({"distribution": "normal", "mu": 5, "sigma": 0}, lambda v: v == 5),
        ({"distribution": "log_normal", "mu": 0, "sigma": 0}, lambda v: v == 1),
    ],
)
def test_values_are_of_their_distribution(spec: dict[str, Any], test: Any) -> None:
    assert all(test(draw_value("key", spec, (seed,))) for seed in range(20))


def test_uniform_values_fill_their_range() -> None:
    values = [draw_value("key", {"min": 0.0, "max": 1.0}, (seed,)) for seed in range(400)]
    assert abs(sum(map(float, values)) / 400 - 0.5) < 0.05


def test_flags_that_go_with_a_file_are_in_the_name_of_the_point(tmp_path: Path) -> None:
    files = ["experiments/clvae/a.yaml", "experiments/clvae/a.yaml --model.class_wise false"]
    sweep = write(tmp_path / "s.yaml", parameters={"config": {"values": files}})
    names = [point.name.rsplit("-", 1)[0] for point in read_sweep(sweep)]
    assert names == ["clvae_a", "clvae_a-class_wise=false"]
