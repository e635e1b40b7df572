"""Every method resumes as if it had never stopped, after a kill at any batch."""

import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

import semsynth.methods
from tests.helpers.killed import run_processes
from tests.helpers.tiny import (
    BATCHES_PER_EPOCH,
    METHODS,
    STEPS,
    arguments,
    differences,
    fit,
    last,
    pairs_cache,
)

AT_VALIDATION = ["--checkpoint.every_n_train_steps=null", "--checkpoint.save_top_k=-1"]
EVERY = ["--checkpoint.every_n_train_steps=1", "--checkpoint.save_top_k=-1"]


def go_on_from(step: int, whole: Path, run_dir: Path) -> None:
    """A run that was killed after it had written the checkpoint of a step."""
    shutil.copytree(whole, run_dir)
    kept = run_dir / f"checkpoints/step_{step:08d}.ckpt"
    assert kept.exists()
    for path in kept.parent.iterdir():
        if path != kept:
            path.unlink()


def kill_points(method: str) -> list[int]:
    """Three batches at whose ends to kill, always the same for a method."""
    return sorted(random.Random(method).sample(range(3, STEPS), 3))


def test_every_method_is_stopped_and_resumed_here() -> None:
    files = [args[0].partition("=")[2] for args in METHODS.values()]
    names = [yaml.safe_load(Path(file).read_text())["model"]["class_path"] for file in files]
    assert sorted(names) == sorted(semsynth.methods.__all__)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a method that was never stopped, with a checkpoint of each step."""

    @cache
    def train(method: str) -> Path:
        run_dir = tmp_path_factory.mktemp(method)
        assert fit(method, run_dir, *EVERY)["global_step"] == STEPS
        return run_dir

    return train


@pytest.mark.parametrize("method", METHODS)
def test_resumed_training_ends_with_the_same_checkpoint(
    method: str, whole_run: Callable[[str], Path], tmp_path: Path
) -> None:
    step = random.Random(method).choice([5, 6, 7])  # within the second epoch
    go_on_from(step, whole_run(method), tmp_path / "resumed")
    resumed = fit(method, tmp_path / "resumed", *EVERY, "--ckpt_path=last")
    assert not differences(last(whole_run(method)), resumed)


@pytest.mark.parametrize("method", ["segmenter", "user_controllable_lt"])  # OneCycleLR, LambdaLR
def test_training_that_goes_on_for_longer_follows_the_longer_schedule(
    method: str, tmp_path: Path
) -> None:
    schedule = ["--model.optimizer=adamw"] if method == "user_controllable_lt" else []
    longer = [*schedule, "--trainer.max_steps=12", "--trainer.max_epochs=-1"]
    shorter = [*schedule, "--trainer.max_steps=6", "--trainer.max_epochs=-1"]
    fit(method, tmp_path / "run", *shorter)
    resumed = fit(method, tmp_path / "run", *longer, "--ckpt_path=last")
    whole = fit(method, tmp_path / "whole", *longer)
    assert resumed["global_step"] == 12
    assert resumed["lr_schedulers"] == whole["lr_schedulers"]


def test_resumed_training_against_a_frozen_backbone_ends_with_the_same_checkpoint(
    tmp_path: Path,
) -> None:
    more = ["--model.discriminator=pretrained", "--model.backbone=toy_portrait", *EVERY]
    more += ["--model.diversity_weight=1"]
    whole = fit("clvae", tmp_path / "whole", *more)
    go_on_from(6, tmp_path / "whole", tmp_path / "resumed")
    resumed = fit("clvae", tmp_path / "resumed", *more, "--ckpt_path=last")
    assert not differences(whole, resumed)


@pytest.mark.parametrize("method", ["clvae", "segmenter"])  # own optimisation, and Lightning's
def test_resumed_training_skips_nothing_at_the_end_of_an_epoch(
    method: str, whole_run: Callable[[str], Path], tmp_path: Path
) -> None:
    for step in (3, 4):  # before the last batch of the first epoch, and after it
        go_on_from(step, whole_run(method), tmp_path / str(step))
        resumed = fit(method, tmp_path / str(step), *EVERY, "--ckpt_path=last")
        assert not differences(last(whole_run(method)), resumed)


@pytest.mark.parametrize(
    ("method", "flag"),
    [
        ("clvae", "--model.accumulate_grad_batches=3"),
        ("segmenter", "--trainer.accumulate_grad_batches=3"),
    ],
)
def test_no_checkpoint_is_written_between_the_batches_of_one_step(
    method: str, flag: str, tmp_path: Path
) -> None:
    # Steps end after batches 3, 4, 7, 8, 11 and 12; validations come after batches 5 and 10.
    steps = ["--trainer.max_steps=6", "--trainer.val_check_interval=5"]
    options = [flag, *steps, *AT_VALIDATION]
    whole = fit(method, tmp_path / "whole", *options)
    for step in (3, 5):  # the first to end after them
        go_on_from(step, tmp_path / "whole", tmp_path / str(step))
        resumed = fit(method, tmp_path / str(step), *options, "--ckpt_path=last")
        assert not differences(whole, resumed)


def test_loader_processes_go_on_with_the_samples_that_come_next(
    whole_run: Callable[[str], Path], tmp_path: Path
) -> None:
    workers = [*EVERY, "--data.num_workers=2"]
    go_on_from(6, whole_run("segmenter"), tmp_path / "resumed")  # in the second epoch
    resumed = fit("segmenter", tmp_path / "resumed", *workers, "--ckpt_path=last")
    assert not differences(last(whole_run("segmenter")), resumed)


def test_time_between_checkpoints_holds_where_a_method_optimises_by_itself(tmp_path: Path) -> None:
    always = ["--checkpoint.every_n_train_steps=null", "--checkpoint.train_time_interval=0:00:00"]
    fit("stylegan2", tmp_path, *always, "--checkpoint.save_top_k=-1", "--trainer.max_steps=3")
    steps = sorted(path.stem for path in (tmp_path / "checkpoints").glob("step_*"))
    assert steps == [f"step_{step:08d}" for step in (1, 2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("method", [*METHODS, "cached_pairs"])
def test_killed_training_ends_with_the_same_checkpoint(
    method: str, processes: int, tmp_path: Path
) -> None:
    samples = 2 * BATCHES_PER_EPOCH * processes
    more = [f"--trainer.devices={processes}"]
    if method == "cached_pairs":
        more += pairs_cache(tmp_path / "pairs", samples)
        method = "user_controllable_lt"
    elif method != "fewshot_smis":  # its epochs have no samples
        more += [f"--data.train_size={samples}"]
    run_processes(arguments(method, tmp_path / "whole", *more), processes)
    whole = last(tmp_path / "whole")
    assert whole["global_step"] == STEPS
    for batch in kill_points(method):
        run_dir = tmp_path / f"killed_{batch}"
        command = arguments(method, run_dir, *more, "--ckpt_path=last")
        run_processes(command, processes, kill=(batch % processes, batch))
        assert not (run_dir / "checkpoints" / f"step_{STEPS:08d}.ckpt").exists()
        assert any((run_dir / "checkpoints").glob("step_*.ckpt"))
        run_processes(command, processes)
        assert not differences(whole, last(run_dir))
