from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semsynth.images import colour_mask, image_grid, save_png, to_uint8

PALETTE = ((255, 0, 0), (0, 255, 0))


def test_mask_gets_the_colours_of_its_classes_and_black_elsewhere() -> None:
    mask = torch.tensor([[[0, 1, 255, 7]]])
    painted = to_uint8(colour_mask(mask, PALETTE))
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 0], [0, 0, 0]]
    assert painted[0, :, 0].T.tolist() == expected


def test_to_uint8_rounds_and_clamps() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.005, 1.0, 3.0])
    assert to_uint8(values).tolist() == [0, 0, 128, 128, 255, 255]


def test_grid_has_a_row_for_each_sample_and_a_column_for_each_tensor() -> None:
    columns = [torch.full((2, 3, 4, 5), value) for value in (-1.0, 0.0, 1.0)]
    grid = image_grid(columns, gap=2)
    assert grid.shape == (3, 2 * 4 + 2, 3 * 5 + 2 * 2)
    assert grid[0, 0, [0, 5, 7, 14]].tolist() == [0, 255, 128, 255]
    assert grid[0, 4, 0] == 255  # the gap between rows


def test_png_is_read_back_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    picture = torch.randint(256, (3, 6, 5), dtype=torch.uint8)
    save_png(picture, tmp_path / "deep" / "a.png")
    read = np.asarray(Image.open(tmp_path / "deep" / "a.png"))
    assert np.array_equal(read, picture.permute(1, 2, 0).numpy())
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]
