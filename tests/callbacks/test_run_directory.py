from pathlib import Path

import pytest

from semsynth.callbacks import run_directory

CONFIG = {"seed_everything": 7, "model": {"class_path": "semsynth.methods.CLVAE"}, "run_dir": None}


def test_directory_is_named_after_experiment_seed_and_configuration() -> None:
    directory = run_directory.default_directory(CONFIG, "experiments/clvae/ade20k.yaml")
    assert directory.parent == Path("outputs/clvae/ade20k")
    assert directory.name.startswith("seed7-")
    first = run_directory.default_directory(CONFIG, "a.yaml")
    assert run_directory.default_directory(CONFIG | {"run_dir": "x"}, "a.yaml") == first
    assert run_directory.default_directory(CONFIG | {"more": 1}, "a.yaml") != first


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("experiments/clvae/ade20k.yaml", "clvae/ade20k"),
        ("some/where/experiments/clvae/ade20k.yaml", "clvae/ade20k"),
        ("mine.yaml", "mine"),
        (None, "clvae"),
    ],
)
def test_experiment_is_named_after_its_file(file: str | None, name: str) -> None:
    assert run_directory.experiment_name(CONFIG, file) == name


def test_a_run_is_overwritten_on_demand_alone_and_nothing_else_with_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    (tmp_path / "notes.txt").touch()
    assert run_directory.of_checkpoint(str(checkpoint)) == tmp_path
    with pytest.raises(run_directory.RunExistsError, match="--ckpt_path last"):
        run_directory.prepare(tmp_path, overwrite=False)
    assert checkpoint.exists()
    run_directory.prepare(tmp_path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
