import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data.transforms import PairTransform


def coordinates(size: int = 8) -> tuple[Image.Image, Image.Image]:
    """An image and a mask that both hold the column's number."""
    values = np.broadcast_to(np.arange(size, dtype=np.uint8), (size, size))
    return Image.fromarray(np.stack([values] * 3, axis=2)), Image.fromarray(values.copy())


def columns(image: torch.Tensor) -> torch.Tensor:
    return image[0].add(1).mul(127.5).round().long()


def test_flip_and_crop_are_the_same_for_image_and_mask() -> None:
    transform = PairTransform((5, 5), load_size=(8, 8), flip=True)
    seen = set()
    for _ in range(50):
        image, mask = transform(*coordinates())
        assert torch.equal(columns(image), mask)
        seen.add(tuple(mask[0].tolist()))
    assert len(seen) == 8  # four crops, each flipped or not


def test_without_crop_and_flip_every_call_gives_the_same() -> None:
    transform = PairTransform((8, 8))
    image, mask = transform(*coordinates())
    assert torch.equal(mask, torch.arange(8).expand(8, 8))
    assert torch.equal(columns(image), mask)


def test_mask_is_resized_without_new_values() -> None:
    mask = Image.fromarray(np.array([[0, 9], [9, 0]], dtype=np.uint8))
    image = Image.new("RGB", (2, 2))
    _, values = PairTransform((5, 5))(image, mask)
    assert set(values.flatten().tolist()) == {0, 9}


def test_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"load_size .* is smaller"):
        PairTransform((8, 8), load_size=(4, 8))
