"""Resize, crop and flip an image and its mask together."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class PairTransform:
    """PIL image and label map to tensors of one size.

    Args:
        image_size: Height and width of the result; the aspect ratio is not kept.
        load_size: Resize to this first and crop at random; ``image_size`` if not given.
        flip: Flip left and right with probability 0.5.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        load_size: tuple[int, int] | None = None,
        flip: bool = False,
    ) -> None:
        self.image_size = image_size
        self.load_size = load_size or image_size
        self.flip = flip
        if self.load_size[0] < image_size[0] or self.load_size[1] < image_size[1]:
            raise ValueError(
                f"load_size {self.load_size} is smaller than image_size {image_size}; a crop needs "
                "at least as many pixels."
            )

    def __call__(self, image: Image.Image, mask: Image.Image) -> tuple[Tensor, Tensor]:
        """Transform a pair.

        Returns:
            Image (3, H, W), float32 in [-1, 1], and values on disk of the mask (H, W), int64.
        """
        height, width = self.load_size
        rgb = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        box = self._crop_box()
        pixels = np.asarray(rgb.crop(box))
        labels = resize_mask(mask, self.load_size)[box[1] : box[3], box[0] : box[2]]
        if self.flip and torch.rand(()) < 0.5:
            pixels, labels = pixels[:, ::-1], labels[:, ::-1]
        tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        return tensor / 127.5 - 1, torch.from_numpy(labels.copy())

    def _crop_box(self) -> tuple[int, int, int, int]:
        (H, W), (h, w) = self.load_size, self.image_size
        top = int(torch.randint(H - h + 1, ()))
        left = int(torch.randint(W - w + 1, ()))
        return left, top, left + w, top + h


def resize_mask(mask: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Values of a label map (H, W), int64, resized by nearest neighbour."""
    height, width = size
    return np.asarray(mask.resize((width, height), Image.Resampling.NEAREST)).astype(np.int64)
