import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from semsynth.data.cache import ResizedCache
from semsynth.data.disk import PairDataset
from semsynth.data.errors import DataError
from semsynth.data.pairs import Pair
from semsynth.data.transforms import PairTransform

SIZE = (4, 6)


def make(source: Path) -> Tensor:
    """A tensor that depends on the file's content."""
    return torch.full((3, *SIZE), len(source.read_bytes()), dtype=torch.uint8)


def forbidden() -> Tensor:
    raise AssertionError("made again")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.bin"
    file.write_bytes(b"abc")
    return file


def entries(directory: Path) -> list[Path]:
    return sorted(p for p in directory.rglob("*") if p.is_file())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_tensor_is_made_once_and_comes_back_as_it_was(
    tmp_path: Path, source: Path, dtype: torch.dtype
) -> None:
    cache = ResizedCache(tmp_path / "cache", SIZE)
    tensor = torch.arange(24).view(6, 4).T.to(dtype)  # not contiguous
    assert torch.equal(cache.get("mask", [source], lambda: tensor), tensor)
    again = ResizedCache(tmp_path / "cache", SIZE).get("mask", [source], forbidden)
    assert torch.equal(again, tensor)
    assert again.dtype == dtype
    again += 1  # the caller may write into it
    assert torch.equal(cache.get("mask", [source], forbidden), tensor)


def test_changed_file_is_read_again_even_at_equal_size(tmp_path: Path, source: Path) -> None:
    cache = ResizedCache(tmp_path / "cache", SIZE)
    cache.get("image", [source], lambda: make(source))
    source.write_bytes(b"abcd")
    assert cache.get("image", [source], lambda: make(source)).unique().tolist() == [4]
    entry = cache.entry("image", [source])
    os.utime(source, ns=(0, 1))
    assert cache.entry("image", [source]) != entry


def test_size_kind_and_files_tell_entries_apart(tmp_path: Path, source: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"abc")
    found = {
        ResizedCache(tmp_path, size).entry(what, files)
        for size in (SIZE, (6, 4))
        for what in ("image", "mask")
        for files in ([source], [other], [source, other])
    }
    assert len(found) == 12


def test_entry_that_was_cut_off_is_made_again(tmp_path: Path, source: Path) -> None:
    cache = ResizedCache(tmp_path / "cache", SIZE)
    cache.get("image", [source], lambda: make(source))
    (entry,) = entries(tmp_path / "cache")
    entry.write_bytes(entry.read_bytes()[:-5])
    assert cache.get("image", [source], lambda: make(source)).unique().tolist() == [3]
    assert cache.get("image", [source], forbidden).unique().tolist() == [3]


def test_entry_with_a_flipped_bit_is_made_again(tmp_path: Path, source: Path) -> None:
    cache = ResizedCache(tmp_path / "cache", SIZE)
    cache.get("image", [source], lambda: make(source))
    (entry,) = entries(tmp_path / "cache")
    whole = entry.read_bytes()
    for at in range(0, len(whole), 7):
        entry.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert cache.get("image", [source], lambda: make(source)).unique().tolist() == [3]
        assert entry.read_bytes() == whole


def test_failure_while_making_leaves_nothing(tmp_path: Path, source: Path) -> None:
    with pytest.raises(AssertionError):
        ResizedCache(tmp_path / "cache", SIZE).get("image", [source], forbidden)
    assert not entries(tmp_path / "cache")


def test_tensor_of_another_size_is_resized(tmp_path: Path, source: Path) -> None:
    cache = ResizedCache(tmp_path / "cache", SIZE)
    photo, columns = torch.full((3, 5, 5), 9, dtype=torch.uint8), torch.arange(3).expand(2, 3)
    assert torch.equal(cache.get("image", [source], lambda: photo), make(source).fill_(9))
    assert cache.get("mask", [source], lambda: columns).tolist() == [[0, 0, 1, 1, 2, 2]] * 4


def test_directory_that_cannot_be_written_is_named(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/cache cannot be written to .*data\.cache"):
        ResizedCache(tmp_path / "file/cache", SIZE).get("image", [source], lambda: make(source))


def test_photos_decoded_in_full_and_reduced_do_not_stand_for_each_other(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    pairs, transform = [Pair("a", tmp_path / "a.jpg", ())], PairTransform((16, 16))
    plain = [PairDataset(pairs, transform, exact=exact)[0]["image"] for exact in (True, False)]
    assert not torch.equal(*plain)
    for _ in range(2):
        for exact, image in zip((True, False), plain, strict=True):
            cached = PairDataset(pairs, transform, str(tmp_path / "cache"), exact)[0]["image"]
            assert torch.equal(cached, image)
    assert len(entries(tmp_path / "cache")) == 2


def fill(directory: Path, source: Path, barrier: Barrier) -> None:
    barrier.wait()
    for i in range(20):
        ResizedCache(directory, SIZE).get(f"image {i}", [source], lambda: make(source))


def test_processes_that_fill_it_at_once_leave_one_entry_each(tmp_path: Path, source: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    workers = [
        context.Process(target=fill, args=(tmp_path / "cache", source, barrier)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(entries(tmp_path / "cache")) == 20
