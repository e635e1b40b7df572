"""Styles of exported images, recombined from labelled photos class by class."""

import torch
from torch import Tensor

from semsynth.methods import CLVAE
from semsynth.networks.clvae.style_codes import StyleCodes, complete
from semsynth.networks.noise import hash_int64, seeded_uniform


class PhotoStyles:
    """Gives each class the code of a random labelled photo that contains it.

    Five photos with eight classes have 390,625 combinations, all of seen styles. A class without a
    photo gets a sampled code.

    Args:
        method: The model.
        image: Photos (M, 3, H, W) in [-1, 1].
        mask: Their label maps (M, H, W), int64.
    """

    def __init__(self, method: CLVAE, image: Tensor, mask: Tensor) -> None:
        self.method = method
        parts = zip(image.split(16), mask.split(16), strict=True)
        encoded = [method.encode({"image": i, "mask": m}) for i, m in parts]
        self.z_global = torch.cat([codes.z_global for codes in encoded])
        self.z_local = torch.cat([codes.z_local for codes in encoded])  # (M, L, K, N)
        self.present = torch.cat([codes.present for codes in encoded])  # (M, L, K)

    def __call__(self, seed: Tensor) -> StyleCodes:
        """Codes of images by seeds (B,)."""
        M, _, K, _ = self.z_local.shape
        luck = seeded_uniform(hash_int64(seed + 1), M, K + 1)  # (B, M, K + 1)
        shows = self.present.any(1)  # (M, K)
        chosen = luck[..., :K].masked_fill(~shows, -1).argmax(1)  # (B, K)
        row = torch.arange(K, device=seed.device)
        codes = StyleCodes(
            self.z_global[luck[..., K].argmax(1)],
            self.z_local[chosen, :, row].transpose(1, 2),  # (B, L, K, N)
            self.present[chosen, :, row].transpose(1, 2),
        )
        return complete(codes, self.method.sample(seed))
