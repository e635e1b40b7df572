from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import ADE20K

VALUES = np.array([[0, 1, 2, 150]])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for folder, prefix in (("training", "train"), ("validation", "val")):
        for kind, suffix in (("images", "jpg"), ("annotations", "png")):
            path = tmp_path / kind / folder / f"ADE_{prefix}_00000001.{suffix}"
            path.parent.mkdir(parents=True)
            pixels = VALUES if kind == "annotations" else np.full((1, 4), 90)  # a grey photo
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return tmp_path


def mask_of(root: Path, label_order: str) -> list[int]:
    data = ADE20K(str(root), (1, 4), None, False, label_order, num_workers=0)  # type: ignore[arg-type]
    data.setup("validate")
    return next(iter(data.val_dataloader()))["mask"].flatten().tolist()


def test_shifted_order_makes_unknown_the_last_class(root: Path) -> None:
    assert mask_of(root, "shifted") == [150, 0, 1, 149]


def test_raw_order_keeps_the_values_on_disk(root: Path) -> None:
    assert mask_of(root, "raw") == VALUES.flatten().tolist()


def test_class_names_follow_the_order(root: Path) -> None:
    shifted, raw = (
        ADE20K(str(root), label_order=order).label_space for order in ("shifted", "raw")
    )
    assert shifted.num_classes == raw.num_classes == 151
    assert (shifted.names[0], shifted.names[150]) == ("wall", "unknown")
    assert (raw.names[0], raw.names[1]) == ("unknown", "wall")


def test_grey_photos_become_colour(root: Path) -> None:
    data = ADE20K(str(root), (1, 4), None, False, num_workers=0)
    data.setup("fit")
    image = next(iter(data.train_dataloader()))["image"]
    assert image.shape == (1, 3, 1, 4)
    assert torch.allclose(image, torch.tensor(90 / 127.5 - 1), atol=0.02)
