"""The commands from end to end, on a training of two steps."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from semsynth.callbacks.loggers import RunLabels, build_loggers
from semsynth.cli import main
from semsynth.cli.train import choose_strategy
from tests.helpers.killed import run_processes
from tests.helpers.tiny import environment

TINY = [
    "--config=experiments/clvae/toy_street.yaml",
    "--trainer.max_steps=2",
    "--trainer.val_check_interval=2",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--model.channels=2",
    "--model.lr_g=0.03",  # so that two steps give images that differ
    "--model.spade_channels=4",
    "--model.discriminator_channels=4",
    "--data.train_size=8",
    "--data.val_size=5",
    "--data.test_size=5",
    "--data.batch_size=2",
    "--data.eval_batch_size=2",
    "--evaluation.num_samples=2",
    "--images.num_samples=2",
]
ROOT = Path(__file__).parents[2]
LABELS = RunLabels("clvae/toy_street", ["CLVAE", "ToyStreet"])


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    directory = tmp_path_factory.mktemp("runs") / "one"
    os.environ["WANDB_MODE"] = "offline"
    main(["fit", *TINY, f"--run_dir={directory}"])
    return directory


def scores(run_dir: Path, split: str = "test") -> dict[str, float]:
    return json.loads((run_dir / "scores" / f"{split}.json").read_text())["scores"]


def test_run_keeps_everything_in_its_directory(run_dir: Path) -> None:
    assert (run_dir / "checkpoints/last.ckpt").exists()
    assert (run_dir / "logs/fit/metrics.csv").is_file()
    assert (run_dir / "images/test_samples.png").is_file()
    assert list(run_dir.glob("wandb/offline-run-*"))
    media = "wandb/offline-run-*/files/media"
    assert {"images", "table"} <= {path.name for path in run_dir.glob(f"{media}/*")}
    assert list(run_dir.glob(f"{media}/images/mask/test_samples_overlay*"))
    assert json.loads((run_dir / "classes.json").read_text())[0] == "sky"
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert config["model"]["init_args"]["channels"] == 2
    assert str(run_dir) not in (run_dir / "config.yaml").read_text()  # good for other runs too


def test_every_metric_has_a_score(run_dir: Path) -> None:
    expected = {"fd_toy", "diversity_toy", "MeanIoU", "PixelAccuracy"}
    assert expected <= scores(run_dir).keys()
    assert expected <= scores(run_dir, "val").keys()


def test_checkpoint_repeats_the_scores_of_the_end_of_the_run(run_dir: Path) -> None:
    for command, split in (("test", "test"), ("validate", "val")):
        before = scores(run_dir, split)
        (run_dir / "scores" / f"{split}.json").unlink()
        main([command, f"--ckpt_path={run_dir}/checkpoints/last.ckpt"])
        assert scores(run_dir, split) == before


def write_masks(directory: Path) -> None:
    directory.mkdir()
    for i in range(3):
        Image.new("L", (32, 32), i).save(directory / f"street_{i}.png")


def predict(run_dir: Path, masks: Path, output: Path, seed: int) -> dict[str, bytes]:
    checkpoint = f"--ckpt_path={run_dir}/checkpoints/last.ckpt"
    options = [f"--masks={masks}", f"--output={output}", "--num_samples=2", f"--seed={seed}"]
    main(["predict", checkpoint, *options])
    return {p.name: p.read_bytes() for p in output.iterdir()}


def test_prediction_writes_samples_of_each_mask_that_repeat_by_seed(
    run_dir: Path, tmp_path: Path
) -> None:
    write_masks(tmp_path / "masks")
    first = predict(run_dir, tmp_path / "masks", tmp_path / "a", seed=3)
    again = predict(run_dir, tmp_path / "masks", tmp_path / "b", seed=3)
    other = predict(run_dir, tmp_path / "masks", tmp_path / "c", seed=4)
    assert sorted(first) == [f"street_{i}_{k:02d}.png" for i in range(3) for k in range(2)]
    assert first == again
    assert first != other
    assert first["street_0_00.png"] != first["street_0_01.png"]


def test_prediction_follows_a_reference_and_redraws_photos(run_dir: Path, tmp_path: Path) -> None:
    write_masks(tmp_path / "masks")
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "red.png")
    mask = f"--style.reference_mask={tmp_path}/masks/street_0.png"
    words = {
        "reference": [f"--masks={tmp_path}/masks", f"--style.reference={tmp_path}/red.png", mask],
        "photos": ["--style.classes=[sky]", "--style.levels=[3,4]", "--style.keep=true"],
    }
    for name, flags in words.items():
        output = [f"--output={tmp_path / name}", "--num_samples=2"]
        main(["predict", f"--ckpt_path={run_dir}/checkpoints/last.ckpt", *output, *flags])
    first, second = ((tmp_path / f"reference/street_0_0{i}.png").read_bytes() for i in range(2))
    assert first == second  # the only class of the mask is the reference's
    assert len(list((tmp_path / "photos").iterdir())) == 10


def test_style_of_masks_without_photos_needs_a_reference(run_dir: Path, tmp_path: Path) -> None:
    write_masks(tmp_path / "masks")
    flags = [f"--masks={tmp_path}/masks", "--style.levels=[0]", f"--output={tmp_path}/out"]
    with pytest.raises(SystemExit, match="Without images there are no codes"):
        main(["predict", f"--ckpt_path={run_dir}/checkpoints/last.ckpt", *flags])


def test_finished_run_is_not_overwritten_unasked(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for start in ([], [f"--ckpt_path={run_dir.parent}/other/checkpoints/last.ckpt"]):
        with pytest.raises(SystemExit, match="--overwrite true"):
            main(["fit", *TINY, f"--run_dir={run_dir}", *start])
    with pytest.raises(SystemExit, match="--overwrite true"):
        main(["fit", *TINY, f"--checkpoint.dirpath={run_dir}/checkpoints"])


def test_checkpoints_kept_elsewhere_are_named_at_the_end_and_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [f"--run_dir={tmp_path}/run", f"--checkpoint.dirpath={tmp_path}/kept"]
    words = ["fit", *TINY, "--test_after_fit=false", *kept, "--ckpt_path=last"]
    with pytest.warns(UserWarning, match=r"No checkpoint in .*/kept: starting from scratch"):
        main([*words, "--trainer.max_steps=1"])
    assert f"checkpoint {tmp_path}/kept/last.ckpt" in capsys.readouterr().out
    main([*words, "--trainer.max_steps=2"])
    assert f"checkpoint {tmp_path}/kept/last.ckpt" in capsys.readouterr().out
    assert torch.load(tmp_path / "kept/last.ckpt", weights_only=True)["global_step"] == 2


def written(run_dir: Path) -> list[Path]:
    """Files of a run, without the logs of the W&B service."""
    return [p for p in run_dir.rglob("*") if p.is_file() and "wandb" not in p.parts]


def test_saved_configuration_trains_elsewhere_and_leaves_its_own_run_alone(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in written(run_dir)}
    options = ["--trainer.max_steps=1", "--test_after_fit=false", f"--run_dir={tmp_path}"]
    main(["fit", f"--config={run_dir}/config.yaml", *options])
    assert (tmp_path / "checkpoints/last.ckpt").exists()
    assert f"checkpoint {tmp_path}/checkpoints/last.ckpt" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in written(run_dir)}


def test_run_goes_on_from_its_last_checkpoint(run_dir: Path) -> None:
    before = (run_dir / "checkpoints/last.ckpt").resolve().read_bytes()
    options = ["--ckpt_path=last", "--trainer.max_steps=4", "--test_after_fit=false"]
    main(["fit", f"--config={run_dir}/config.yaml", *options])
    state = torch.load(run_dir / "checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == 4
    assert before != (run_dir / "checkpoints/last.ckpt").resolve().read_bytes()


def test_run_that_was_moved_is_tested_where_it_is_or_where_it_is_asked(
    run_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_dir, moved := tmp_path / "moved", symlinks=True)
    written = (run_dir / "scores/test.json").stat().st_mtime_ns
    (moved / "scores/test.json").unlink()
    test = ["test", f"--ckpt_path={moved}/checkpoints/last.ckpt"]
    main([*test, f"--run_dir={tmp_path}/other"])
    assert not (moved / "scores/test.json").exists()
    main(test)
    assert scores(moved) == scores(tmp_path / "other")
    assert (run_dir / "scores/test.json").stat().st_mtime_ns == written


def test_two_processes_train_and_measure_what_one_measures(tmp_path: Path) -> None:
    run = tmp_path / "two"
    run_processes(["fit", *TINY, f"--run_dir={run}", "--trainer.devices=2"], processes=2)
    by_two = scores(run)
    main(["test", f"--ckpt_path={run}/checkpoints/last.ckpt", "--trainer.devices=1"])
    by_one = scores(run)
    assert by_two == pytest.approx(by_one, rel=1e-5)


@pytest.mark.slow  # imports torch twice more
def test_command_starts_the_other_processes_itself(tmp_path: Path) -> None:
    words = ["fit", *TINY, f"--run_dir={tmp_path}", "--trainer.devices=2"]
    command = [sys.executable, "-m", "semsynth", *words]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)
    assert json.loads((tmp_path / "scores/cost.json").read_text())["num_processes"] == 2


@pytest.mark.parametrize(
    ("changes", "strategy"),
    [
        ({}, "auto"),
        ({"devices": 1}, "auto"),
        ({"devices": 2}, "ddp_find_unused_parameters_true"),
        ({"devices": "2"}, "ddp_find_unused_parameters_true"),
        ({"devices": [0, 1]}, "ddp_find_unused_parameters_true"),
        ({"devices": "0,1"}, "ddp_find_unused_parameters_true"),
        ({"devices": 1, "num_nodes": 2}, "ddp_find_unused_parameters_true"),
        ({"devices": 2, "strategy": "ddp"}, "ddp"),
    ],
)
def test_several_processes_get_a_strategy_that_trains_a_gan(
    changes: dict[str, Any], strategy: str
) -> None:
    config = {"devices": "auto", "accelerator": "cpu", "strategy": "auto", "num_nodes": 1}
    config |= {"sync_batchnorm": False} | changes
    choose_strategy(config)
    assert config["strategy"] == strategy
    assert not config["sync_batchnorm"]  # torch has it on GPUs only


def test_wandb_groups_by_experiment_and_tags_method_data_and_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_TAGS", "mine")
    (tmp_path / "logs" / "fit").mkdir(parents=True)
    logger = build_loggers(None, tmp_path, "fit", LABELS)[1]
    settings = logger._wandb_init  # type: ignore[attr-defined]
    assert settings["group"] == "clvae/toy_street"
    assert settings["job_type"] == "fit"
    assert settings["tags"] == ["CLVAE", "ToyStreet", "mine"]
    monkeypatch.setenv("WANDB_RUN_GROUP", "table 5")
    again = build_loggers(None, tmp_path, "fit", LABELS)[1]
    assert again._wandb_init["group"] == "table 5"  # type: ignore[attr-defined]
    assert again._wandb_init["id"] == settings["id"]  # type: ignore[attr-defined]
    monkeypatch.setattr("wandb.__version__", "0.28.2")
    older = build_loggers(None, tmp_path, "fit", LABELS)[1]._wandb_init  # type: ignore[attr-defined]
    assert older["id"] is None
    assert older["tags"] == ["CLVAE", "ToyStreet", "mine", "segment-2"]
    tested = build_loggers(None, tmp_path, "test", LABELS)[1]
    assert tested._wandb_init["id"] is None  # type: ignore[attr-defined]


def test_each_training_has_its_own_csv_log(tmp_path: Path) -> None:
    for name in ("fit", "fit-2"):
        (logger,) = build_loggers(False, tmp_path, "fit", LABELS)
        assert isinstance(logger, CSVLogger)
        assert logger.log_dir == str(tmp_path / "logs" / name)
        (tmp_path / "logs" / name).mkdir(parents=True, exist_ok=True)
