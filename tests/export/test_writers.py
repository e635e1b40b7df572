import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image
from webdataset.autodecode import handle_extension

from semsynth.data import DataError
from semsynth.export.writers import FolderWriter, Sample, ShardWriter


def samples() -> list[Sample]:
    torch.manual_seed(0)
    return [
        Sample(
            torch.randint(256, (3, 8, 10), dtype=torch.uint8),
            torch.tensor([0, 4, 255])[torch.randint(3, (8, 10))],
            {"name": f"{i:03d}", "split": split, "confidence": 0.5},
        )
        for i, split in enumerate(("train", "train", "dropped"))
    ]


def open_as_it_is(content: bytes) -> Image.Image:
    """WebDataset's own decoders make three channels of every PNG."""
    return Image.open(io.BytesIO(content))


def test_a_folder_has_images_and_index_masks(tmp_path: Path) -> None:
    FolderWriter(tmp_path).write(0, samples())
    for image, mask, record in samples():
        folder, name = tmp_path / record["split"], f"{record['name']}.png"
        assert np.array_equal(
            np.asarray(Image.open(folder / "images" / name)), image.permute(1, 2, 0).numpy()
        )
        opened = Image.open(folder / "labels" / name)
        assert opened.mode == "L"
        assert np.array_equal(np.asarray(opened), mask.numpy())


@pytest.mark.parametrize("kind", [FolderWriter, ShardWriter])
def test_samples_are_read_back(kind: type[FolderWriter], tmp_path: Path) -> None:
    writer = kind(tmp_path)
    writer.write(7, samples())
    for image, mask, record in samples():
        found = writer.read(record, 7)
        assert torch.equal(found[0], image)
        assert torch.equal(found[1], mask)


@pytest.mark.parametrize("kind", [FolderWriter, ShardWriter])
def test_written_again_the_files_are_the_same(kind: type[FolderWriter], tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        kind(tmp_path).write(0, samples())
        files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
        contents.append([(p, p.read_bytes()) for p in files])
    assert contents[0] == contents[1]
    assert not any(".part" in str(p) for p, _ in contents[0])


def test_shards_are_read_by_webdataset(tmp_path: Path) -> None:
    ShardWriter(tmp_path).write(3, samples())
    dataset = webdataset.WebDataset(str(tmp_path / "train/000003.tar"), shardshuffle=False)
    found = list(dataset.decode(handle_extension("label.png", open_as_it_is), "pil"))
    assert [s["__key__"] for s in found] == ["000", "001"]
    for read, (image, mask, record) in zip(found, samples(), strict=False):
        assert np.array_equal(np.asarray(read["image.png"]), image.permute(1, 2, 0).numpy())
        assert np.array_equal(np.asarray(read["label.png"]), mask.numpy())
        assert read["json"] == json.loads(json.dumps(record))


def test_without_webdataset_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(DataError, match=r"pip install 'semsynth\[shards\]'"):
        ShardWriter(tmp_path)
