"""Resize, crop and flip a photo and all maps of its pixels together."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class PairTransform:
    """Resize photo and maps to one size, with the same crop and mirror.

    Covers the papers' presets: resize to 286 and crop 256 (SPADE), a fixed size of 256 x 512
    (Cityscapes, GTA5), no mirror (few-shot).

    Args:
        image_size: Height and width of the result; the aspect ratio is not kept.
        load_size: Resize to this first and crop at random; by default ``image_size``.
        flip: Mirror left and right with probability 0.5.
        lookup: Class of each value on disk (256,), for the map ``mask``; -1 for invalid values. By
            default values are classes.
        flip_lookup: Class of each class in the mirror (256,); by default the same.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        load_size: tuple[int, int] | None = None,
        flip: bool = False,
        lookup: np.ndarray | None = None,
        flip_lookup: np.ndarray | None = None,
    ) -> None:
        self.image_size = image_size
        self.load_size = load_size or image_size
        self.flip = flip
        identity = np.arange(256)
        classes = identity if lookup is None else lookup
        mirrored = (identity if flip_lookup is None else flip_lookup)[classes]
        self.tables = torch.from_numpy(np.stack([classes, mirrored]).astype(np.uint8))
        if self.load_size[0] < image_size[0] or self.load_size[1] < image_size[1]:
            raise ValueError(
                f"load_size {self.load_size} is smaller than image_size {image_size}; a crop needs "
                "at least as many pixels."
            )

    def __call__(
        self, image: Tensor | None, maps: Mapping[str, Tensor], seed: int
    ) -> dict[str, Tensor]:
        """Transform a sample.

        Args:
            image: Photo (3, H', W'), uint8, or None.
            maps: Label map, instance map: each (H'', W''), of any size and type.
            seed: Seed of crop and mirror.

        Returns:
            ``image`` (3, H, W), uint8, resized by antialiased bicubic interpolation; ``mask``
            (H, W), classes, uint8, and the other maps (H, W) of their types, by nearest neighbour.
        """
        (load_H, load_W), (H, W) = self.load_size, self.image_size
        generator = np.random.Generator(np.random.Philox(seed))
        top = int(generator.integers(load_H - H + 1))
        left = int(generator.integers(load_W - W + 1))
        mirror = self.flip and bool(generator.random() < 0.5)
        box = (slice(top, top + H), slice(left, left + W))
        result = {name: resize_map(values, self.load_size, box) for name, values in maps.items()}
        if image is not None:
            result["image"] = resize_image(image, self.load_size)[:, *box]
        if mirror:
            result = {name: values.flip(-1) for name, values in result.items()}
        if "mask" in result:
            result["mask"] = self.tables[int(mirror)][result["mask"].long()]
        return {name: values.contiguous() for name, values in result.items()}


def resize(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a photo (3, H', W') or a map (H', W')."""
    return resize_image(values, size) if values.ndim == 3 else resize_map(values, size)


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a photo (3, H', W'), uint8, as Pillow does: bicubic, antialiased."""
    if tuple(image.shape[1:]) == size:
        return image
    return F.interpolate(image[None], size, mode="bicubic", antialias=True)[0]


def resize_map(
    values: Tensor, size: tuple[int, int], box: tuple[slice, slice] = (slice(None), slice(None))
) -> Tensor:
    """Resize a map (H', W') of any type by nearest neighbour, and crop a box of it.

    Each value is that of the pixel under the centre of the new one, as in Pillow; on a border the
    right or lower one.
    """
    rows, columns = (
        (2 * torch.arange(new)[kept] + 1) * old // (2 * new)
        for new, old, kept in zip(size, values.shape, box, strict=True)
    )
    return values[rows[:, None], columns]
