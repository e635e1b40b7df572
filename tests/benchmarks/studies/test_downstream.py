from pathlib import Path

import pytest
import yaml

from benchmarks.results import Row
from benchmarks.rows import label
from benchmarks.studies import downstream
from benchmarks.sweep import read_sweep
from semsynth.data import FewShotFolder
from tests.data.trees import only_batch

ROOT = Path(__file__).parents[3]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have run."""
    commands: list[list[str]] = []

    def note(words: list[str]) -> None:
        commands.append(words)
        for place in (w.partition("=")[2] for w in words if w.startswith("--run_dir=")):
            Path(place).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(downstream, "semsynth", note)
    monkeypatch.chdir(ROOT)
    return commands


def run(arm: str, world: str, tmp_path: Path) -> None:
    config = f"experiments/segmenter/{world}_few.yaml --train_on {arm} --shots 5"
    run_dir = tmp_path / "runs" / "run"
    downstream.main([f"--config={config}", "--seed_everything=2", f"--run_dir={run_dir}"])


def test_labelled_samples_alone_need_nothing_else(started: list[list[str]], tmp_path: Path) -> None:
    run("pairs", "toy_street", tmp_path)
    (fit,) = started
    assert "--data.labelled.init_args.shots=5" in fit
    assert not any(word.startswith("--data.exported") for word in fit)


def test_exported_streets_come_from_a_model_of_the_same_shots(
    started: list[list[str]], tmp_path: Path
) -> None:
    run("exported", "toy_street", tmp_path)
    clvae, export, fit = started
    assert clvae[2] == "experiments/clvae/toy_street_few.yaml"
    assert "--data.labelled.init_args.shots=5" in clvae
    assert export[0] == "export"
    assert "--data.share=0" in fit
    assert f"--data.exported={tmp_path / 'exported/toy_street-5-2'}" in fit


def test_judges_of_the_filters_learn_from_the_shots_alone(
    started: list[list[str]], tmp_path: Path
) -> None:
    run("pairs+filtered", "toy_street", tmp_path)
    judges = [c for c in started if any("judge-toy_street-5" in w and "run_dir" in w for w in c)]
    assert len(judges) == downstream.JUDGES
    assert all("--data.labelled.init_args.shots=5" in judge for judge in judges)
    export = next(c for c in started if c[0] == "export")
    names = [str(tmp_path / f"sources/judge-toy_street-5-{i}") for i in range(downstream.JUDGES)]
    assert [str(Path(w).parents[1]) for w in export if w.endswith("last.ckpt")][1:] == names


def test_labelled_portraits_are_written_as_a_user_has_them(
    started: list[list[str]], tmp_path: Path
) -> None:
    run("pairs+exported", "toy_portrait", tmp_path)
    data = FewShotFolder(str(tmp_path / "sources/portraits-5"), 9, image_size=64, batch_size=5)
    assert data.label_space.names[2] == "hair"
    assert only_batch(data, "train")["image"].shape == (5, 3, 64, 64)
    assert "toy_portrait" in started[0]


def test_every_arm_is_in_the_sweep_and_told_apart_in_the_report() -> None:
    points = read_sweep(ROOT / "benchmarks/suites/downstream.yaml")
    rows: list[Row] = [
        {"parameters": p.parameters, "varied": p.varied, "method": "Segmenter"} for p in points
    ]
    names = {(label(row), row["parameters"]["config"].split()[0]) for row in rows}
    assert 3 * len(names) == len(points)
    arms = {p.parameters["config"].split("--train_on ")[1].split()[0] for p in points}
    assert arms == set(downstream.ARMS)
    for point in points:
        assert (ROOT / point.parameters["config"].split()[0]).is_file()


def test_the_two_experiments_differ_in_their_world_alone() -> None:
    street, portrait = (
        yaml.safe_load((ROOT / f"experiments/segmenter/toy_{w}_few.yaml").read_text())
        for w in ("street", "portrait")
    )
    assert street["model"] == portrait["model"]
    assert street["trainer"] == portrait["trainer"]
