"""The commands of ``docs/training_data.md``, on a small example."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from semsynth.cli import main
from tests.data.trees import write_map, write_photo

ROOT = Path(__file__).parents[2]
SMALL = {
    "experiments/clvae": "--model.channels 4 --model.spade_channels 4 --model.z_dim 4 "
    "--model.discriminator_channels 4 --model.code_dim 4 --model.perceptual_weight 0",
    "experiments/segmenter": "--model.channels 4",
    "experiments/": "--data.labelled.init_args.image_size 32 --data.epoch_size 8 "
    "--data.batch_size 4 --trainer.logger false --trainer.accelerator cpu",
    "semsynth export ": "--num 6 --batch_size 4",
    "toy_portrait": "--inversion_steps 4 --perceptual none",
}
"""Flags that make a command with a word small."""


def commands() -> list[str]:
    text = (ROOT / "docs/training_data.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def words_of(command: str) -> list[str]:
    words = shlex.split(command)[1:]
    extra = [flag for word, flag in SMALL.items() if word in command]
    words = [w if not w.startswith("experiments/") else str(ROOT / w) for w in words]
    return words + [word for flags in extra for word in flags.split()]


def write_labelled(root: Path, size: int, classes: str) -> None:
    count = len(classes.splitlines())
    for i in range(5):
        values = np.arange(count).repeat(size // count + 1)[:size] * np.ones((size, 1), int)
        write_photo(root / f"train/images/{i}.png", (size, size), i)
        write_map(root / f"train/labels/{i}.png", values)
    (root / "classes.txt").write_text(classes)


def test_five_labelled_images_become_a_data_set_and_a_segmenter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_labelled(Path("mine"), 32, "background\ncell\nnucleus\n")
    write_labelled(Path("portraits"), 64, "left\nright\n")
    for command in commands():
        assert command.startswith("semsynth ")
        main(words_of(command))
    for folder in ("exported", "exported_samples", "filtered"):
        assert len(Path(folder, "manifest.jsonl").read_text().splitlines()) == 6
    assert "MeanIoU" in Path("outputs/segmenter/scores/test.json").read_text()


def test_the_python_of_the_page_is_python() -> None:
    text = (ROOT / "docs/training_data.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        compile(block, "docs/training_data.md", "exec")
