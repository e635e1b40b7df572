"""Instance-adaptive modulation of INADE, for comparison (Tan et al., CVPR 2021).

Paper: https://arxiv.org/abs/2103.06878. A class has a distribution of modulations, from which each
instance samples its own: noise of the instance, projected to a layer's width, is scaled and shifted
by the layer's parameters of the class. The noise of an instance is shared by all layers. Written
from the paper. Differences: the encoder is ours, with one head for the noise of scales and one for
that of shifts, and a class has a fixed number of instances with separate noise.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.encoder import rows_of
from semsynth.networks.clvae.fast_spade import Painted
from semsynth.networks.clvae.layouts import one_hot
from semsynth.networks.clvae.spade import ModulatedResBlock
from semsynth.networks.clvae.spade_generator import SPADEGenerator, Upsampling


class InstanceModulation(nn.Module):
    """Normalise activations, then modulate the pixels of each instance by its noise.

    The noise has ``noise_dim`` numbers for the scale, and as many for the shift.
    """

    def __init__(self, channels: int, num_classes: int, noise_dim: int = 64) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.remap = nn.ModuleList(nn.Linear(noise_dim, channels) for _ in range(2))
        self.centre = nn.Parameter(torch.zeros(2, num_classes, channels))
        self.spread = nn.Parameter(torch.randn(2, num_classes, channels) * 0.1)

    def forward(self, x: Tensor, layout: Painted) -> Tensor:
        """Modulate activations (B, C, H, W).

        The layout is noise (B, 2 * noise_dim, H', W') of scale and of shift, painted by rows of
        instances, the last of which is for ignored pixels.
        """
        layout = layout.resized(x.shape[-2], x.shape[-1])
        noise = layout.tables[:, :-1].chunk(2, dim=2)  # (B, K, noise_dim) of scale and of shift
        per_class = noise[0].shape[1] // self.centre.shape[1]
        maps = torch.cat(
            [
                centre.repeat_interleave(per_class, 0)
                + spread.repeat_interleave(per_class, 0) * remap(n)
                for n, remap, centre, spread in zip(
                    noise, self.remap, self.centre, self.spread, strict=True
                )
            ],
            dim=2,
        )  # (B, K, 2 * C)
        tables = F.pad(maps, (0, 0, 0, 1))  # ignored pixels are only normalised
        scale, shift = layout._replace(tables=tables).dense().chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class InstanceAdaptiveGenerator(nn.Module):
    """Generate an image from a mask and the noise of each instance."""

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int] = (256, 256),
        channels: int = 64,
        noise_dim: int = 64,
        instances_per_class: int = 1,
        upsampling: Upsampling = "normal",
    ) -> None:
        super().__init__()
        self.num_classes, self.z_dim = num_classes, 0
        self.instances_per_class = instances_per_class
        self.code_shape = (2, num_classes * instances_per_class, noise_dim)
        self.decoder = SPADEGenerator(
            0,
            image_size,
            channels,
            layout_channels=[2 * noise_dim] * (8 if upsampling == "most" else 7),
            upsampling=upsampling,
            start=nn.Conv2d(num_classes, 16 * channels, 3, padding=1),
            build_block=lambda a, b, _: ModulatedResBlock(
                a, b, lambda width: InstanceModulation(width, num_classes, noise_dim)
            ),
        )

    def forward(
        self, mask: Tensor, z_global: Tensor, z_local: Tensor, instance: Tensor | None = None
    ) -> Tensor:
        """Images of masks and noise (B, 2, K, noise_dim) of scales and shifts."""
        rows = rows_of(mask, instance, self.num_classes, self.instances_per_class)
        tables = F.pad(z_local.transpose(1, 2).flatten(2), (0, 0, 0, 1))  # (B, K + 1, 2 * noise)
        h, w = self.decoder.grid
        coarse = mask[:, :: mask.shape[1] // h, :: mask.shape[2] // w]
        start = one_hot(coarse, self.num_classes)
        return self.decoder(start, [Painted(rows, tables)] * len(self.decoder.blocks))
