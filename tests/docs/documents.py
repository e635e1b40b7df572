"""The documents, the commands in them, and a place where everything that they name exists."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.interop import small_files

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
OFFICIAL = {
    "stylegan2-ffhq-config-f.pt": small_files.stylegan2,
    "encoder.pt": small_files.psp,
    "cat.pt": small_files.latent_transformer,
    "checkpoints/ade20k/latest_net_G.pth": small_files.clvae,
}


def commands(document: Path) -> list[list[str]]:
    """Words of each command in the blocks without a language, continued lines joined."""
    texts = [text for language, text in BLOCK.findall(document.read_text()) if not language]
    lines = "\n".join(texts).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def inline_flags(document: Path) -> set[str]:
    """Flags that stand in the text."""
    texts = INLINE.findall(BLOCK.sub("", document.read_text()))
    return {flag for text in texts for flag in re.findall(r"(?<!\S)--[A-Za-z][\w.-]*", text)}


def save_images(directory: Path, names: list[str], array: np.ndarray) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(array).save(directory / f"{name}.png")


def coco_of_photos() -> dict[str, object]:
    """An annotation of each of the ``PHOTOS``."""
    photos = [{"id": i, "file_name": f"{'abc'[i]}.png", "height": 64, "width": 64} for i in (0, 1)]
    square = {"category_id": 1, "iscrowd": 0, "segmentation": [[8, 8, 40, 8, 40, 40, 8, 40]]}
    annotations = [{"id": i, "image_id": i} | square for i in (0, 1)]
    categories = [{"id": 1, "name": "square"}]
    return {"images": photos, "annotations": annotations, "categories": categories}


def furnish(place: Path) -> None:
    """Make what the documents call LABELLED, MASKS, ROOT and so on, and links to the repository."""
    for name in ("experiments", "benchmarks", "Makefile", "pyproject.toml", "constraints.txt"):
        (place / name).symlink_to(ROOT / name)
    photo = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    layout = np.repeat(np.arange(4, dtype=np.uint8), 16)[:, None].repeat(64, axis=1)
    for split in ("train", "val", "test"):
        save_images(place / "ROOT" / split / "images", ["a", "b"], photo)
        save_images(place / "ROOT" / split / "labels", ["a", "b"], layout)
    save_images(place / "LABELLED/train/images", ["a"], photo)
    save_images(place / "LABELLED/train/labels", ["a"], layout)
    (place / "LABELLED/classes.txt").write_text("sky\nhill\nriver\nfield\n")
    save_images(place / "MASKS", ["a"], layout)
    save_images(place / "SCRIBBLES", ["a"], layout % 2)
    for folder in ("PHOTOS", "REAL", "FAKE"):
        save_images(place / folder, ["a", "b", "c"], photo)
    Image.fromarray(photo).save(place / "photo.png")
    (place / "instances.json").write_text(json.dumps(coco_of_photos()))
    Image.fromarray(layout * 0).save(place / "mask.png")  # sky alone
    for name, make in OFFICIAL.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save(make(), place / name)
