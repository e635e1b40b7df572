"""Grouped networks of GroupDNet, for comparison (Zhu et al., CVPR 2020).

Paper: https://arxiv.org/abs/2003.12697. Each class has its own group of channels: the encoder sees
each class separately and its groups never mix; the decoder starts with as many groups and merges
them towards the image. Written from the paper. Differences: the number of classes is rounded up to
a power of two, so that group numbers can be halved, and the widths are those of our other
generators.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.encoder import Posterior, classes_present
from semsynth.networks.clvae.fast_spade import FastSPADE, painted_one_hot
from semsynth.networks.clvae.layouts import fill_ignored, one_hot
from semsynth.networks.clvae.spade import LEAK, ModulatedResBlock
from semsynth.networks.clvae.spade_generator import (
    SPADEGenerator,
    Upsampling,
    block_widths,
    start_grid,
)
from semsynth.networks.clvae.spectral import spectral_conv

_WIDTHS = (1, 2, 4, 8, 8, 8, 8)  # of one class's group, times class_channels


def next_power_of_two(number: int) -> int:
    """The smallest power of two that is at least a number."""
    return 1 << (number - 1).bit_length()


class GroupedEncoder(nn.Module):
    """Encode each class of an image by a group of channels that sees only that class.

    A group has ``class_channels`` in the first layer, and gives ``code_channels`` at each cell of
    the decoder's first map. There are as many halvings as doublings in the decoder.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int],
        class_channels: int = 8,
        code_channels: int = 8,
        upsampling: Upsampling = "normal",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        h, w = start_grid(image_size, upsampling)
        self.code_shape = (1, num_classes, code_channels * h * w)
        C = num_classes
        halvings = (image_size[0] // h).bit_length() - 1
        widths = [3, *(class_channels * factor for factor in _WIDTHS[:halvings])]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                spectral_conv(C * a, C * b, 3, stride=2, bias=False, groups=C),
                nn.InstanceNorm2d(C * b),
            )
            for a, b in pairwise(widths)
        )
        self.mu, self.logvar = (
            nn.Conv2d(C * widths[-1], C * code_channels, 3, padding=1, groups=C) for _ in range(2)
        )

    def forward(self, image: Tensor, mask: Tensor, instance: Tensor | None = None) -> Posterior:
        """Posterior of one level, without a global code, of images under their masks.

        A class's code is the flattened map of its group. Instances are ignored.
        """
        layout = one_hot(mask, self.num_classes)
        x = (layout[:, :, None] * image[:, None]).flatten(1, 2)  # (B, C * 3, H, W)
        for block in self.blocks:
            x = F.leaky_relu(block(x), LEAK)
        present = classes_present(mask, self.num_classes)[:, None]  # (B, 1, C)
        mu, logvar = (
            head(x).float().reshape(len(x), *self.code_shape) * present[..., None]
            for head in (self.mu, self.logvar)
        )
        none = mu.new_zeros(len(x), 0)
        return Posterior(none, none, mu, logvar, present)


class GroupedGenerator(nn.Module):
    """Decode the classes' codes with as many groups at first, and fewer in each block."""

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int] = (256, 256),
        channels: int = 64,
        code_channels: int = 8,
        spade_channels: int = 128,
        upsampling: Upsampling = "normal",
    ) -> None:
        super().__init__()
        self.num_classes, self.z_dim = num_classes, 0
        self.num_groups = next_power_of_two(num_classes)
        self.instances_per_class = 1
        h, w = start_grid(image_size, upsampling)
        self.grid = (h, w)
        self.code_shape = (1, num_classes, code_channels * h * w)
        widths = block_widths(channels, upsampling)
        if widths[0] % self.num_groups:
            raise ValueError(
                f"channels is {channels}, which gives {widths[0]} in the first map; the "
                f"{self.num_groups} groups of {num_classes} classes must divide that. Raise it."
            )
        groups = group_numbers(self.num_groups, widths, spade_channels)
        self.decoder = SPADEGenerator(
            0,
            image_size,
            channels,
            layout_channels=[self.num_groups] * len(groups),
            upsampling=upsampling,
            start=nn.Conv2d(
                self.num_groups * code_channels, widths[0], 3, padding=1, groups=self.num_groups
            ),
            build_block=lambda a, b, i: ModulatedResBlock(
                a,
                b,
                lambda width: FastSPADE(width, self.num_groups, spade_channels, groups[i]),
                groups[i],
            ),
        )

    def forward(
        self, mask: Tensor, z_global: Tensor, z_local: Tensor, instance: Tensor | None = None
    ) -> Tensor:
        """Images of masks and codes (B, 1, num_classes, code_channels * h * w)."""
        code = F.pad(z_local[:, 0], (0, 0, 0, self.num_groups - self.num_classes))
        code = code.unflatten(2, (-1, *self.grid)).flatten(1, 2)  # (B, groups * N, h, w)
        labels = fill_ignored(mask, self.num_classes)
        layout = painted_one_hot(labels, self.num_classes, self.num_groups)
        return self.decoder(code, [layout] * len(self.decoder.blocks))


def group_numbers(num_groups: int, widths: list[int], hidden: int) -> list[int]:
    """Groups of each block, powers of two that decrease evenly to 1 and divide its widths."""
    steps = len(widths) - 2  # between the first block and the last
    most = num_groups.bit_length() - 1
    numbers = []
    for i, (a, b) in enumerate(pairwise(widths)):
        number = 1 << round(most * (1 - i / steps))
        while a % number or b % number or hidden % number:
            number //= 2
        numbers.append(number)
    return numbers
