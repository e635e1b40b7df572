"""The commands of ``docs/own_data.md``, on small copies of its two folders."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.cli import main
from semsynth.data import Folder
from tests.helpers.command import status_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/own_data.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", TEXT, re.DOTALL)
LAST = " --trainer.logger false --trainer.accelerator cpu --trainer.max_steps 2"
SMALL = {
    "/clvae/folder": "--model.channels 2 --model.spade_channels 2 --model.z_dim 2 "
    "--model.discriminator_channels 2 --model.code_dim 2 "
    "--data.batch_size 2 --data.num_workers 0 --data.image_size 32",
    "/segmenter/folder": "--model.channels 2 --data.num_workers 0 --data.image_size 32",
    "/segmenter/few": "--model.channels 2 --data.epoch_size 8 --data.batch_size 4 "
    "--data.labelled.init_args.image_size 32",
    "semsynth export": "--num 4 --batch_size 4",
    "semsynth predict": "--num_samples 2",
}
"""Flags that make a command with a word small."""


def run(line: str) -> None:
    """Run a command; a first check of a folder as it comes finds problems."""
    if not line.startswith("semsynth "):
        subprocess.run(line, shell=True, check=True)
        return
    words = shlex.split(os.path.expandvars(line))[1:]
    extra = " ".join(flags for word, flags in SMALL.items() if word in line)
    extra += LAST if words[0] == "fit" else ""
    if words[:2] == ["data", "check"] and "--data.num_classes" in words:
        assert status_of(words) == 1
    else:
        main([*words, *extra.split()])


def write_micrographs(root: Path) -> None:
    """A folder like the one that the page describes."""
    for split, count in (("train", 4), ("val", 1), ("test", 2)):
        for i in range(count):
            values = np.random.default_rng(i).integers(0, 256, (40, 40), dtype=np.uint8)
            for kind, pixels in (("images", values), ("labels", (values > 99) * np.uint8(255))):
                file = root / "em" / split / kind / f"{i}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)


def grey_levels(root: Path, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Grey levels, from 0 to 255, of each photo in a batch of the test split."""
    data = Folder(str(root), image_size=shape, num_workers=0)
    data.setup("test")
    found = {}
    for batch in data.test_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        for name, image in zip(batch["name"], batch["image"], strict=True):
            assert (image == image[:1]).all()
            found[name] = (image[0].numpy() + 1) * 127.5
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the commands of the page have run, in their order."""
    place = tmp_path_factory.mktemp("own")
    (place / "experiments").symlink_to(ROOT / "experiments")
    write_micrographs(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("SEMSYNTH_DATA", str(place))
        for language, text in BLOCKS:
            if language == "python":
                subprocess.run([sys.executable, "-c", text], check=True)
            for line in text.splitlines() if language == "sh" else ():
                run(line)
    return place


@pytest.mark.parametrize("name", ["cells", "blobs"])
def test_two_folders_go_from_the_check_to_a_segmenter(name: str, place: Path) -> None:
    assert "MeanIoU" in (place / f"outputs/{name}/pictures.scores.json").read_text()
    assert "MeanIoU" in (place / f"outputs/{name}_segmenter/scores/test.json").read_text()
    assert len(list((place / "outputs/cells_segmenter/masks").iterdir())) == 2
    assert len((place / f"{name}_exported/manifest.jsonl").read_text().splitlines()) == 4


def test_grey_levels_in_a_batch_are_those_of_the_files(place: Path) -> None:
    levels = grey_levels(place / "cells", (40, 40))
    assert levels.keys() == {"0", "1"}
    for name, grey in levels.items():
        with Image.open(place / f"em/test/images/{name}.png") as photo:
            assert np.abs(grey - np.asarray(photo)).max() < 1e-4


def test_twelve_bits_in_a_batch_are_those_of_the_files_rounded_to_eight(place: Path) -> None:
    levels = grey_levels(place / "blobs", (128, 128))
    assert len(levels) == 6
    for name, grey in levels.items():
        with Image.open(place / f"scans/test/images/{name}.tif") as photo:
            values = np.asarray(photo)
        assert values.dtype == np.uint16
        assert values.max() > 2000
        assert np.abs(grey - values * (255 / 4095)).max() <= 0.5 + 1e-4
