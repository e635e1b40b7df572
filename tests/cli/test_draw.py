from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.cli.draw import draw
from semsynth.data import FewShotFolder
from semsynth.errors import UserError
from semsynth.weights.priors import load_generator
from tests.data.trees import only_batch, write_map


def draw_three(output: Path, **options: Any) -> None:
    draw(prior="toy_portrait", num=3, output=output, **options)


def test_samples_that_are_labelled_are_a_few_shot_folder(tmp_path: Path) -> None:
    draw_three(tmp_path)
    names = sorted(file.stem for file in (tmp_path / "train/images").iterdir())
    assert len(names) == 3
    for name in names:
        write_map(tmp_path / "train/labels" / f"{name}.png", np.full((64, 64), 2))
    batch = only_batch(FewShotFolder(str(tmp_path), 3, image_size=64, batch_size=3), "train")
    generator = load_generator("toy_portrait")
    with torch.no_grad():
        images = generator.synthesis(batch["w_plus"]).clamp(-1, 1)
    assert (images - batch["image"]).abs().max() < 0.01  # rounded to 8 bits


def test_the_seed_makes_the_samples(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw_three(tmp_path / name, seed=seed)
    a, b, c = (
        np.asarray(Image.open(next((tmp_path / name / "train/images").glob("*_0000.png"))))
        for name in "abc"
    )
    assert (a == b).all()
    assert (a != c).any()


def test_samples_are_not_replaced_unasked(tmp_path: Path) -> None:
    draw_three(tmp_path)
    with pytest.raises(UserError, match="already has samples; add --overwrite"):
        draw_three(tmp_path)
    draw_three(tmp_path, overwrite=True)


def test_what_to_do_next_is_said_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_three(tmp_path)
    text = (tmp_path / "README.txt").read_text()
    assert text == capsys.readouterr().out
    assert str(tmp_path / "train/labels") in text
    assert not list((tmp_path / "train/labels").iterdir())
