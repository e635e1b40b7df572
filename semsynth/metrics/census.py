"""Census of the measured samples: their number, size and a fingerprint of their pixels."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from semsynth.images import to_uint8
from semsynth.networks.noise import hash_int64


class Census(Metric):
    """Fingerprints of real images and masks, independent of order, batches and processes.

    Two evaluations with equal fingerprints saw the same pixels: the same split, resized by the same
    kernel to the same size.
    """

    full_state_update = False

    num_fakes: Tensor
    num_images: Tensor
    num_masks: Tensor
    image_sum: Tensor
    mask_sum: Tensor
    smallest: Tensor
    largest: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("num_fakes", "num_images", "num_masks", "image_sum", "mask_sum"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("smallest", torch.full((2,), 1 << 40), dist_reduce_fx="min")
        self.add_state("largest", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="max")

    def update(
        self, fake: Tensor | None = None, image: Tensor | None = None, mask: Tensor | None = None
    ) -> None:
        """Count generated and real images (B, 3, H, W) in [-1, 1], and label maps (B, H, W)."""
        if fake is not None:
            self.num_fakes += len(fake)
            size = torch.tensor(fake.shape[-2:], device=self.device)
            self.smallest = torch.minimum(self.smallest, size)
            self.largest = torch.maximum(self.largest, size)
        if image is not None:
            self.num_images += len(image)
            self.image_sum += fingerprint(to_uint8(image).long())
        if mask is not None:
            self.num_masks += len(mask)
            self.mask_sum += fingerprint(mask.long())

    def compute(self) -> dict[str, Any]:
        """JSON values, None without images or masks.

        ``image_size`` of the generated images, or ``mixed``, ``num_fakes`` and ``num_images``, and
        the fingerprints ``real_images`` and ``masks``.
        """
        one_size = torch.equal(self.smallest, self.largest)
        return {
            "image_size": self.largest.tolist() if one_size else "mixed",
            "num_fakes": int(self.num_fakes),
            "num_images": int(self.num_images),
            "real_images": hexadecimal(self.image_sum) if self.num_images else None,
            "masks": hexadecimal(self.mask_sum) if self.num_masks else None,
        }


def fingerprint(values: Tensor) -> Tensor:
    """Sum of a 64-bit hash of each sample (B, ...), int64; it wraps around."""
    flat = values.flatten(1)
    position = torch.arange(flat.shape[1], device=flat.device) << 16
    return hash_int64(hash_int64(flat + position).sum(dim=1)).sum()


def hexadecimal(number: Tensor) -> str:
    """Sixteen hexadecimal digits of an int64."""
    return f"{int(number) % (1 << 64):016x}"
