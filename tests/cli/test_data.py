"""``semsynth data`` from end to end."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import ADE20K
from semsynth.data.base import Split
from tests.data import trees
from tests.helpers.command import status_of

NUM_SAMPLES = 12
Run = Callable[..., tuple[int, str]]


def write_pair(root: Path, folder: str, name: str, size: tuple[int, int], seed: int) -> None:
    """A noisy photo of vertical stripes, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 151, 6), -(-size[1] // 6))[None, : size[1]]
    labels = np.broadcast_to(labels, size).astype(np.uint8)
    photo = rng.integers(0, 256, (151, 3))[labels] + rng.normal(0, 9, (*size, 3))
    for kind, suffix, pixels in (("images", "jpg", photo), ("annotations", "png", labels)):
        (root / kind / folder).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(root / kind / folder / f"{name}.{suffix}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small ADE20K whose photos differ in shape."""
    root = tmp_path / "ADEChallengeData2016"
    for i in range(1, NUM_SAMPLES + 1):
        write_pair(root, "training", f"ADE_train_{i:08d}", (64, 60 + 4 * i), i)
    write_pair(root, "validation", "ADE_val_00000001", (64, 80), 0)
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``semsynth data`` for its exit status and output."""

    def command(*args: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        status = status_of(["data", *map(str, args)])
        said = capsys.readouterr()
        return status, said.out or said.err

    return command


def read_json(file: Path) -> Any:
    return json.loads(file.read_text())


def kinds(report: str) -> dict[str, int]:
    """Number of problems of each kind in a report."""
    return {kind: int(n) for kind, n in re.findall(r"^([a-z ]+): (\d+)$", report, re.MULTILINE)}


def photo(root: Path, i: int) -> Path:
    return root / f"images/training/ADE_train_{i:08d}.jpg"


def label(root: Path, i: int) -> Path:
    return root / f"annotations/training/ADE_train_{i:08d}.png"


def damage_in_ten_ways(root: Path, order: list[int]) -> dict[str, set[Path]]:
    """Damage a training split; the files that are bad then, by kind."""
    truncated, a, b, outside, size, colour, missing, empty, text, twice, link = order
    file = photo(root, truncated)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    other = label(root, a).read_bytes()
    label(root, a).write_bytes(label(root, b).read_bytes())
    label(root, b).write_bytes(other)
    values = np.array(Image.open(label(root, outside)))
    values[0, 0] = 200
    Image.fromarray(values).save(label(root, outside))
    Image.open(label(root, size)).resize((31, 64)).save(label(root, size))
    Image.open(photo(root, colour)).save(label(root, colour))
    label(root, missing).unlink()
    label(root, empty).write_bytes(b"")
    label(root, text).write_text("a text file")
    shutil.copy(photo(root, twice), photo(root, twice).with_suffix(".png"))
    photo(root, link).unlink()
    photo(root, link).symlink_to(root / "gone.jpg")
    return {
        "damaged file": {photo(root, truncated)},
        "exchanged files": {label(root, a), label(root, b)},
        "value without a class": {label(root, outside)},
        "other shape": {label(root, size)},
        "colour mask": {label(root, colour)},
        "missing partner": {photo(root, missing)},
        "empty file": {label(root, empty)},
        "not an image": {label(root, text)},
        "duplicate stem": {photo(root, twice)},
        "broken symlink": {photo(root, link)},
    }


def assert_reported_in_full(
    status: int, report: str, expected: dict[str, set[Path]], root: Path
) -> None:
    assert status == 1
    assert kinds(report) == {kind: len(files) for kind, files in expected.items()}
    for kind, files in expected.items():
        section = report.split(f"\n{kind}: ")[1].split("\n\n")[0]
        assert all(str(file.relative_to(root)) in section for file in files), kind


def test_good_data_pass_and_are_counted(run: Run, root: Path) -> None:
    status, report = run("check", "--data", "ade20k", "--root", root)
    assert status == 0
    assert f"train: {NUM_SAMPLES} samples" in report
    assert "val and test: 1 sample," in report
    assert "No problems found." in report


@pytest.mark.parametrize("words", [("check", "--data", "ade20k"), ("prepare", "ade20k")])
def test_ten_kinds_of_damage_are_reported_at_once(
    words: tuple[str, ...], run: Run, root: Path
) -> None:
    expected = damage_in_ten_ways(root, list(range(1, 12)))
    report = run(*words, "--root", root)
    assert_reported_in_full(*report, expected, root)
    assert label(root, 12).name not in report[1]
    assert not (root / "prepared/manifest.jsonl").exists()


def test_config_says_which_data_to_check_and_flags_override_it(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = "experiments/clvae/ade20k.yaml"
    monkeypatch.setenv("SEMSYNTH_DATA", str(root.parent))  # the file interpolates it
    assert run("check", "--config", config)[0] == 0
    label(root, 1).unlink()
    assert run("check", "--config", config)[0] == 1
    monkeypatch.delenv("SEMSYNTH_DATA")
    assert run("check", "--config", config)[0] == 1
    label(root, 2).write_bytes(b"")
    _, report = run("check", "--config", config, f"--data.root={root}")
    assert kinds(report) == {"missing partner": 1, "empty file": 1}


def test_limit_shortens_the_lists_and_not_the_counts(run: Run, root: Path) -> None:
    for i in range(1, 8):
        label(root, i).write_bytes(b"")
    _, report = run("check", "--data", "ade20k", "--root", root, "--limit", "3")
    assert kinds(report) == {"empty file": 7}
    assert report.count("cannot be read") == 3
    assert "and 4 more" in report


def test_data_that_are_not_there_name_page_and_archives(run: Run, tmp_path: Path) -> None:
    for verb in (["check", "--data", "ade20k"], ["prepare", "ade20k"]):
        status, message = run(*verb, "--root", tmp_path / "nothing")
        assert status == 1
        assert "nothing/images/training" in message
        assert "ADEChallengeData2016.zip" in message
        assert "http" in message


def test_data_without_files_have_nothing_to_check(run: Run) -> None:
    status, report = run("check", "--config", "experiments/clvae/toy_street.yaml")
    assert status == 0
    assert "drawn by code" in report


def write_own_data(root: Path) -> np.ndarray:
    """Two photos of one's own with label maps in colour; their classes."""
    values = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)
    colours = np.zeros((256, 3), np.uint8)
    colours[:3] = (70, 130, 180), (128, 64, 128), (90, 90, 90)
    for i in range(2):
        photo = np.roll(colours[values][::-1], i, axis=1)
        for kind, pixels in (("images", photo), ("labels", colours[values])):
            (root / "train" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / "train" / kind / f"{i}.png")
    (root / "classes.txt").write_text("sky #4682b4\nroad #804080\nwall #5a5a5a\n")
    return values


def test_fix_palette_converts_colours_and_keeps_them_beside(run: Run, tmp_path: Path) -> None:
    values = write_own_data(tmp_path)
    args = ("--data", "folder", "--root", tmp_path, "--data.num_classes", "3")
    file = tmp_path / "train/labels/0.png"
    colours = file.read_bytes()
    assert kinds(run("check", *args)[1]) == {"colour mask": 2}
    status, report = run("check", *args, "--fix-palette")
    assert status == 0
    assert "Converted 2 label maps" in report
    assert np.array_equal(np.asarray(Image.open(file)), values)
    assert file.with_name("0.png.colour").read_bytes() == colours
    assert run("check", *args, "--fix-palette")[0] == 0


def test_fix_palette_names_colours_that_no_class_has(run: Run, tmp_path: Path) -> None:
    write_own_data(tmp_path)
    file = tmp_path / "train/labels/1.png"
    pixels = np.array(Image.open(file))
    pixels[0, 0] = 71, 130, 180
    Image.fromarray(pixels).save(file)
    args = ("--data", "folder", "--root", tmp_path, "--data.num_classes", "3")
    status, report = run("check", *args, "--fix-palette")
    assert status == 1
    assert kinds(report) == {"colour mask": 1}
    assert "(71, 130, 180) in 1 pixels (nearest: (70, 130, 180))" in report
    assert np.array_equal(np.asarray(Image.open(file)), pixels)
    assert not file.with_name("1.png.colour").exists()


def test_masks_of_0_and_255_are_named_and_mapped_by_the_command_that_is_offered(
    run: Run, tmp_path: Path
) -> None:
    trees.write_pair(tmp_path / "own/train", "a", [[0, 255]])
    two = "--data.num_classes=2"
    status, report = run("check", "--data", "folder", "--root", tmp_path / "own", two)
    assert (status, kinds(report)) == (1, {"no label": 1})
    assert "--data.num_classes 2 --map 255=1" in report
    new = tmp_path / "new"
    args = ("prepare", "folder", "--root", tmp_path / "own", two, "--map", "255=1", "--output", new)
    assert run(*args, "--dry-run")[0] == 0
    assert not new.exists()
    status, report = run(*args)
    assert status == 0
    assert f"train with --data.root {new}" in report
    assert read_json(new / "stats.json")["train"]["pixel_frequency"] == [0.5, 0.5]
    assert run("check", "--data", "folder", "--root", new, two)[0] == 0


def test_warnings_fail_only_with_strict(run: Run, root: Path) -> None:
    args = ("check", "--data", "ade20k", "--root", root)
    shutil.copy(photo(root, 1), root / "images/validation/ADE_val_00000001.jpg")
    shutil.copy(label(root, 1), root / "annotations/validation/ADE_val_00000001.png")
    status, report = run(*args)
    assert (status, kinds(report)) == (0, {"photo in two splits": 1})
    assert "No problems found. Warnings: 1." in report
    assert run(*args, "--strict")[0] == 1


def test_prepare_writes_what_it_found(run: Run, root: Path) -> None:
    status, report = run("prepare", "ade20k", "--root", root)
    assert status == 0
    assert "train: 12 samples; warning: the published split has 20210" in report
    lines = (root / "prepared/manifest.jsonl").read_text().splitlines()
    assert len(lines) == NUM_SAMPLES + 1
    assert json.loads(lines[0]) == {
        "id": "ADE_train_00000001",
        "image": "images/training/ADE_train_00000001.jpg",
        "label": "annotations/training/ADE_train_00000001.png",
        "instance": None,
        "split": ["train"],
        "size": [64, 64],
        "extent": None,
    }


def test_size_of_prepare_serves_the_training_at_that_size(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = root.parent / "elsewhere"
    args = ("prepare", "ade20k", "--root", root, "--output", output, "--size", "20", "30")
    assert run(*args)[0] == 0
    plain, cached = (
        ADE20K(str(root), image_size=(20, 30), load_size=(20, 30), cache=cache)
        for cache in (None, str(output / "cache"))
    )
    splits: tuple[Split, ...] = ("train", "val")
    samples = [plain.dataset(split)[0] for split in splits]
    for function in ("read_image", "read_labels"):
        monkeypatch.setattr(f"semsynth.data.disk.{function}", lambda *_: pytest.fail("decoded"))
    for split, expected in zip(splits, samples, strict=True):
        sample = cached.dataset(split)[0]
        assert all(torch.equal(sample[key], expected[key]) for key in ("image", "mask"))


SAMPLES = [
    ("ade20k", ("--data", "ade20k")),
    ("celebamask_hq", ("--data", "celebamask-hq")),
    ("celebamask_hq", ("--data", "few-shot-folder", "--data.num_classes", "19")),
    ("celeba_landmarks", ("--data", "few-shot-folder", "--data.num_classes", "71")),
    ("lsun_church", ("--data", "few-shot-folder", "--data.num_classes", "151")),
    ("lsun_cat", ("--data", "few-shot-folder", "--data.num_classes", "9")),
]


@pytest.fixture
def samples() -> Path:
    if folder := os.environ.get("SEMSYNTH_SAMPLES"):
        return Path(folder)
    pytest.skip("SEMSYNTH_SAMPLES names no directory with samples of the real data sets")


@pytest.mark.parametrize(("folder", "args"), SAMPLES)
def test_samples_of_the_real_data_sets_pass(
    run: Run, samples: Path, folder: str, args: tuple[str, ...]
) -> None:
    status, report = run("check", *args, "--root", samples / folder)
    assert status == 0, report
    assert "exchanged" not in report


def test_damaged_copy_of_real_samples_is_reported_in_full(
    run: Run, samples: Path, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    for i in range(11):  # the four samples of the training split again and again
        for kind, suffix in (("images", "jpg"), ("annotations", "png")):
            target = root / kind / "training" / f"ADE_train_{i + 1:08d}.{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            name = f"ADE_train_{i % 4 + 1:08d}.{suffix}"
            shutil.copyfile(samples / "ade20k" / kind / "training" / name, target)
    expected = damage_in_ten_ways(root, [1, 2, 4, 3, 5, 6, 7, 8, 9, 10, 11])
    assert_reported_in_full(*run("check", "--data", "ade20k", "--root", root), expected, root)
