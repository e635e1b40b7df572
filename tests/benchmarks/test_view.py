import io
import json
from pathlib import Path

from rich.console import Console

from benchmarks.sweep import Point
from benchmarks.view import View, spoken

STREET = "experiments/clvae/toy_street.yaml"


def point(flags: str = "", seed: int = 1) -> Point:
    parameters = {"config": f"{STREET} {flags}", "seed_everything": seed}
    return Point(parameters, ("config", "seed_everything"), ("semsynth", "fit", flags, str(seed)))


def shown(view: View, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_view_says_which_run_of_how_many_its_step_and_its_speed(tmp_path: Path) -> None:
    points = [point(), point("--model.layer_wise false")]
    done = {"run": points[0].name, "scores": {}}
    view = View(points, "none", [done], 1, Console(file=io.StringIO()))
    view.begin(points[1], tmp_path)
    assert "2/2  without layer-wise, seed 1  preparing" in shown(view)
    (tmp_path / "scores").mkdir()
    cost = {"step": 120, "steps": 240, "images_per_second": 31.23}
    (tmp_path / "scores/cost.json").write_text(json.dumps(cost))
    assert "without layer-wise, seed 1  step 120 of 240  31.2 images/s" in shown(view)
    assert "1 of 2 runs" in shown(view)
    (tmp_path / "scores/cost.json").write_text(json.dumps(cost | {"step": 240}))
    assert "seed 1  testing" in shown(view)
    assert max(map(len, shown(view).splitlines())) <= 80


def test_time_left_is_that_of_the_experiments_runs_so_far(tmp_path: Path) -> None:
    points = [point(seed=seed) for seed in range(4)]
    view = View(points, "none", [], 1, Console(file=io.StringIO()))
    assert view.seconds_left() == 0  # nothing is known
    for one, seconds in zip(points, (100.0, 200.0), strict=False):
        view.begin(one, tmp_path)
        row = {"run": one.name, "parameters": one.parameters, "scores": {}, "seconds": seconds}
        view.end(one, row)
    assert view.seconds_left() == 2 * 150
    view.jobs = 2
    assert view.seconds_left() == 150


def test_time_before_any_run_has_ended_is_that_of_the_results_that_ship() -> None:
    view = View([point()], "toy", [], 1, Console(file=io.StringIO()))
    assert 10 < view.seconds_left() < 1000


def test_failed_run_says_why_and_where_to_look() -> None:
    console = Console(width=80, file=io.StringIO())
    view = View([one := point()], "none", [], 1, console)
    view.begin(one, Path("runs/a"))
    view.end(one, {"run": one.name, "error": "boom [1]", "run_dir": "runs/a", "seconds": 3})
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1/1 CLVAE, seed 1: failed: boom [1]" in text
    assert "runs/a/output.log" in text


def test_seconds_are_spoken_in_the_unit_that_fits() -> None:
    assert [spoken(s) for s in (42, 540, 9000)] == ["42 s", "9 min", "2.5 h"]
