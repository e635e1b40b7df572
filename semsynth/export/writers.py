"""Exported samples as files: a folder for each split, or WebDataset shards."""

import io
import json
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semsynth.data import DataError
from semsynth.files import replaced
from semsynth.images import png_bytes, save_mask, save_png

DROPPED = "dropped"
THREADS = 4  # Pillow encodes in parallel


class Sample(NamedTuple):
    """A labelled image and its line in the manifest.

    Attributes:
        image: Image (3, H, W), uint8.
        mask: Label map (H, W).
        record: ``name``, ``split`` and further columns.
    """

    image: Tensor
    mask: Tensor
    record: dict[str, Any]


class Writer(Protocol):
    """Writes the samples of a chunk and reads them back."""

    def write(self, chunk: int, samples: Sequence[Sample]) -> None:
        """Write all samples of a chunk; repeating it leaves the same files."""

    def read(self, record: dict[str, Any], chunk: int) -> tuple[Tensor, Tensor]:
        """Image (3, H, W), uint8, and label map (H, W) of a written sample."""


class FolderWriter:
    """``ROOT/{train,val,test,dropped}/{images,labels}/NAME.png``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, chunk: int, samples: Sequence[Sample]) -> None:
        """Write all samples of a chunk."""
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self._write_one, samples))

    def read(self, record: dict[str, Any], chunk: int) -> tuple[Tensor, Tensor]:
        """Read a sample back."""
        return decode(*(file.read_bytes() for file in self._files(record)))

    def _write_one(self, sample: Sample) -> None:
        image, label = self._files(sample.record)
        save_png(sample.image, image)
        save_mask(sample.mask, label)

    def _files(self, record: dict[str, Any]) -> tuple[Path, Path]:
        folder, name = self.root / record["split"], f"{record['name']}.png"
        return folder / "images" / name, folder / "labels" / name


class ShardWriter:
    """``ROOT/{train,val,test,dropped}/CHUNK.tar``: NAME.image.png, NAME.label.png, NAME.json."""

    def __init__(self, root: Path) -> None:
        try:
            import webdataset
        except ImportError as error:
            raise DataError(
                "WebDataset shards need webdataset; install it with "
                "`pip install 'semsynth[shards]'`, or export a folder."
            ) from error
        self.root, self.tar_writer = root, webdataset.TarWriter

    def write(self, chunk: int, samples: Sequence[Sample]) -> None:
        """Write a shard for each split with samples in the chunk."""
        for split in sorted({s.record["split"] for s in samples}):
            with (
                replaced(self._file(split, chunk)) as temporary,
                temporary.open("wb") as opened,
                self.tar_writer(opened, mtime=0) as tar,
            ):
                for sample in samples:
                    if sample.record["split"] == split:
                        tar.write(self._entry(sample))

    def read(self, record: dict[str, Any], chunk: int) -> tuple[Tensor, Tensor]:
        """Read a sample back."""
        with tarfile.open(self._file(record["split"], chunk)) as tar:
            names = [f"{record['name']}.{part}.png" for part in ("image", "label")]
            opened = [tar.extractfile(name) for name in names]
            return decode(*(file.read() for file in opened if file is not None))

    def _entry(self, sample: Sample) -> dict[str, Any]:
        return {
            "__key__": sample.record["name"],
            "image.png": png_bytes(sample.image.permute(1, 2, 0)),
            "label.png": png_bytes(sample.mask.to(torch.uint8)),
            "json": json.dumps(sample.record).encode(),
        }

    def _file(self, split: str, chunk: int) -> Path:
        return self.root / split / f"{chunk:06d}.tar"


def decode(image: bytes, label: bytes) -> tuple[Tensor, Tensor]:
    """Image (3, H, W), uint8, and label map (H, W), int64, from two PNG files."""
    pixels, values = (np.array(Image.open(io.BytesIO(c), formats=["PNG"])) for c in (image, label))
    return torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(values).long()
