"""The loader of ADE20K against a plain one, by the epoch with one worker.

The plain worker resizes with Pillow and makes floats and a one-hot layout. Ours sends bytes and
class numbers; the device makes floats and the layout of them.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.speed.compare import Comparison, Form
from semsynth.data import ADE20K
from semsynth.data.base import Batch
from semsynth.data.decode import FORMATS

NUM_CLASSES, SIZE, WIDTH, HEIGHT = 151, 256, 683, 512
SAMPLES, BATCH = 32, 4


def epochs(device: str, _: str) -> Iterator[Comparison]:
    """Epochs over JPEGs; both give the same classes and nearly the same photos."""
    on_gpu = device == "cuda"
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_CACHE_HOME"] = directory  # what was checked is forgotten with the files
        root = Path(directory, "ADEChallengeData2016")
        write_samples(root)
        plain, data = Plain(root), ours(root)
        check_equal(data, plain)
        cached = ours(root, str(root.parent / "resized")).train_dataloader()
        loader = data.train_dataloader()
        kept: dict[str, Any] = {"num_workers": 1, "persistent_workers": True, "pin_memory": on_gpu}
        plain_loader = DataLoader(plain, BATCH, shuffle=True, **kept)
        forms: dict[str, Form] = {
            "epoch": lambda: consume(loader),
            "epoch, resized before (data.cache)": lambda: consume(cached),
            f"epoch, layout made on {device}": lambda: consume(with_layout(data, loader, device)),
        }
        against: dict[str, Form] = {"plain loader": lambda: consume(plain_loader)}
        if on_gpu:
            against["plain loader, moved"] = lambda: consume(
                [tensor.to(device, non_blocking=True) for tensor in pair] for pair in plain_loader
            )
        for title, form in forms.items():
            yield Comparison(f"{title}, {SAMPLES} images", {"ours": form, **against})


class Plain(Dataset[tuple[Tensor, Tensor]]):
    """Photo (3, 256, 256) in [-1, 1] and layout (151, 256, 256), both float, made in the worker."""

    def __init__(self, root: Path) -> None:
        self.photos = sorted((root / "images/training").iterdir())
        self.labels = sorted((root / "annotations/training").iterdir())

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        photo = Image.open(self.photos[index], formats=FORMATS).convert("RGB")
        photo = photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        image = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 127.5 - 1
        opened = Image.open(self.labels[index], formats=FORMATS)
        labels = opened.resize((SIZE, SIZE), Image.Resampling.NEAREST)
        mask = (torch.from_numpy(np.array(labels)).long() - 1) % NUM_CLASSES
        return image, F.one_hot(mask, NUM_CLASSES).permute(2, 0, 1).float()


def write_samples(root: Path) -> None:
    """Photos of 683 x 512 with a camera's grain, in JPEG, and label maps of fifteen regions."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    for i in range(SAMPLES):
        seeds = rng.integers((HEIGHT, WIDTH), size=(15, 2))
        nearest = np.argmin([(y - v) ** 2 + (x - u) ** 2 for v, u in seeds], axis=0)
        labels = rng.integers(0, NUM_CLASSES, 15, dtype=np.uint8)[nearest]
        coarse = rng.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        photo = np.asarray(smooth) + rng.normal(0, 6, (HEIGHT, WIDTH, 3))
        for kind, suffix, pixels in (("images", "jpg", photo), ("annotations", "png", labels)):
            for folder in ("training", "validation")[: 1 + (i == 0)]:
                (root / kind / folder).mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(root / kind / folder / f"{i:08d}.{suffix}", quality=90)


def ours(root: Path, cache: str | None = None) -> ADE20K:
    """ADE20K at 256 x 256 with one worker, ready to train."""
    sizes: dict[str, Any] = {"image_size": SIZE, "load_size": None, "batch_size": BATCH}
    data = ADE20K(str(root), flip=False, num_workers=1, cache=cache, **sizes)
    data.setup("fit")
    return data


def check_equal(data: ADE20K, plain: Plain) -> None:
    """Refuse to compare loaders that do not give the same: classes exactly, photos nearly.

    Pillow halves a JPEG while decoding, which is a box filter before the bicubic one.
    """
    dataset = data.dataset("train")
    for i in range(4):
        batch = {key: dataset[i][key][None] for key in ("image", "mask")}
        batch = data.on_after_batch_transfer(batch, 0)
        image, layout = plain[i]
        assert torch.equal(layout.argmax(0), batch["mask"][0])
        assert (image - batch["image"][0]).abs().mean() < 0.03


def with_layout(data: ADE20K, loader: Iterable[Batch], device: str) -> Iterator[object]:
    """Bytes of a loader on the device, where they become floats and a layout."""
    for batch in loader:
        moved = {key: batch[key].to(device, non_blocking=True) for key in ("image", "mask")}
        moved = data.on_after_batch_transfer(moved, 0)
        layout = moved["image"].new_zeros(len(moved["mask"]), NUM_CLASSES, SIZE, SIZE)
        yield layout.scatter_(1, moved["mask"][:, None], 1)


def consume(batches: Iterable[object]) -> list[Tensor]:
    """Run through an epoch."""
    for _ in batches:
        pass
    return []
