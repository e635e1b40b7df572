"""Run directories that the code of before the thirteen rooms wrote open as they did then.

Each run in ``before`` is the tiny training of a method after two steps, with the picture that
``semsynth test`` drew of its checkpoint then. The directories are never made again; that of
``LabelFlow``, a newer method, is of its first version.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.cli import main
from tests.helpers import tiny

BEFORE = Path(__file__).with_name("before")
METHODS = sorted(path.name for path in BEFORE.iterdir())


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file)).astype(int)


@pytest.fixture(params=METHODS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a run, without the picture."""
    directory = tmp_path / request.param
    shutil.copytree(BEFORE / request.param, directory)
    shutil.rmtree(directory / "images")
    return directory


def test_every_method_has_a_run_of_before() -> None:
    assert sorted(tiny.METHODS) == METHODS


def test_checkpoint_of_before_draws_the_same_picture(run: Path) -> None:
    main(["test", f"--ckpt_path={run}/checkpoints/last.ckpt"])
    now, then = (pixels(d / "images/test_samples.png") for d in (run, BEFORE / run.name))
    assert now.shape == then.shape
    assert np.abs(now - then).max() <= 2  # kernels of other machines round otherwise


def test_training_of_before_is_resumed(run: Path) -> None:
    checkpoint = run / "checkpoints/last.ckpt"
    begun = torch.load(checkpoint, weights_only=True)["global_step"]
    config = ["--config", str(run / "config.yaml"), f"--run_dir={run}"]
    steps = [f"--trainer.max_steps={begun + 2}", f"--checkpoint.dirpath={run}/new"]
    main(
        ["fit", *config, *steps, f"--ckpt_path={checkpoint}", "--checkpoint.every_n_train_steps=1"]
    )
    assert torch.load(run / "new/last.ckpt", weights_only=True)["global_step"] == begun + 2
