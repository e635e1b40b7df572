"""Writes miniature data sets."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semsynth.data.base import Batch, Split, SynthesisDataModule


def write_photo(path: Path, size: tuple[int, int] = (12, 10), seed: int = 0) -> np.ndarray:
    """Write a random photo of a width and height; its pixels if the format keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def write_map(path: Path, values: np.ndarray | list[list[int]], dtype: str = "uint8") -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = np.asarray(values).astype(dtype)
    # PNG ends at 16 bits; readers look at the content, not at the suffix.
    Image.fromarray(written).save(path, format="TIFF" if dtype == "int32" else None)
    return written


def write_pair(
    root: Path, name: object, values: np.ndarray | list[list[int]], seed: int = 0
) -> None:
    """Write a photo and its label map where ``Folder`` looks for those of a split."""
    H, W = np.shape(values)
    write_photo(root / f"images/{name}.png", (W, H), seed)
    write_map(root / f"labels/{name}.png", values)


def only_batch(data: SynthesisDataModule, split: Split = "val") -> Batch:
    """The one batch of a split, as methods get it."""
    data.setup({"train": "fit", "val": "validate", "test": "test"}[split])
    (batch,) = getattr(data, f"{split}_dataloader")()
    return data.on_after_batch_transfer(batch, 0)


def as_float(pixels: np.ndarray) -> Tensor:
    """What a photo (H, W, 3) of bytes is in a batch."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()) / 127.5 - 1
