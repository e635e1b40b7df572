import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from semsynth.data.transforms import PairTransform, resize_image, resize_map


def coordinates(size: int = 8) -> tuple[Tensor, dict[str, Tensor]]:
    """A photo and maps that all hold the column's number."""
    columns = torch.arange(size, dtype=torch.uint8).expand(size, size)
    maps = {"mask": columns, "instance": columns.int(), "loss_mask": columns.float()}
    return columns.expand(3, -1, -1), maps


def test_flip_and_crop_are_the_same_for_all_maps() -> None:
    transform = PairTransform((5, 5), load_size=(8, 8), flip=True)
    (image, maps), seen = coordinates(), set()
    for seed in range(60):
        result = transform(image, maps, seed)
        for name in ("image", "instance", "loss_mask"):
            values = result[name][0] if name == "image" else result[name]
            assert torch.equal(values.long(), result["mask"].long()), name
            assert result[name].dtype == (image if name == "image" else maps[name]).dtype
        seen.add(tuple(result["mask"][0].tolist()))
    assert len(seen) == 8  # four crops, each mirrored or not


def test_crops_move_in_both_directions_alike() -> None:
    rows = torch.arange(8, dtype=torch.uint8)[:, None].expand(8, 8)
    transform = PairTransform((5, 5), load_size=(8, 8))
    corners = [
        tuple(
            int(transform(None, {"mask": values}, seed)["mask"][0, 0]) for values in (rows, rows.T)
        )
        for seed in range(200)
    ]
    assert len(set(corners)) == 16
    assert abs(np.mean([top for top, _ in corners]) - 1.5) < 0.25


def test_the_same_seed_gives_the_same_crop_whatever_was_drawn_before() -> None:
    transform = PairTransform((5, 5), load_size=(8, 8), flip=True)
    first, _, again = (transform(*coordinates(), seed)["mask"] for seed in (7, 8, 7))
    assert torch.equal(again, first)


def test_without_crop_and_flip_every_seed_gives_the_same() -> None:
    transform = PairTransform((8, 8))
    image, maps = coordinates()
    for seed in range(3):
        result = transform(image, maps, seed)
        assert torch.equal(result["mask"], maps["mask"])
        assert torch.equal(result["image"], image)


def test_values_on_disk_become_classes_and_left_becomes_right_in_the_mirror() -> None:
    lookup, flip = np.full(256, -1), np.arange(256)
    lookup[[0, 1, 2, 255]] = 0, 4, 5, 255
    flip[[4, 5]] = 5, 4
    transform = PairTransform((1, 4), flip=True, lookup=lookup, flip_lookup=flip)
    values = torch.tensor([[0, 1, 2, 255]], dtype=torch.uint8)
    seen = {tuple(transform(None, {"mask": values}, s)["mask"][0].tolist()) for s in range(20)}
    assert seen == {(0, 4, 5, 255), (255, 4, 5, 0)}


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_nearest_neighbour_equals_pillow(dtype: str) -> None:
    generator = np.random.default_rng(0)
    for H, W, new_H, new_W in generator.integers(1, 300, (40, 4)).tolist():
        H, W = H | 1, W | 1  # no centre on a border, where Pillow's float sums decide
        values = generator.integers(0, 255, (H, W)).astype(dtype)
        expected = Image.fromarray(values).resize((new_W, new_H), Image.Resampling.NEAREST)
        assert np.array_equal(
            resize_map(torch.from_numpy(values), (new_H, new_W)).numpy(), np.asarray(expected)
        )


def test_box_of_a_resized_map_equals_resizing_and_cutting() -> None:
    values = torch.randint(0, 9, (30, 40))
    box = (slice(3, 10), slice(5, 25))
    assert torch.equal(resize_map(values, (17, 31), box), resize_map(values, (17, 31))[box])


@pytest.mark.parametrize("size", [(40, 30), (143, 143), (300, 512)])
def test_photos_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (171, 228, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC)
    resized = resize_image(torch.from_numpy(pixels).permute(2, 0, 1), size)
    difference = resized.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 2
    assert np.abs(difference).mean() < 0.05
