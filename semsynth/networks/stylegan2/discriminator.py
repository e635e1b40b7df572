"""The discriminator of StyleGAN2 (Karras et al., CVPR 2020, https://arxiv.org/abs/1912.04958)."""

import math

import torch
from torch import Tensor, nn

from semsynth.networks.stylegan2.generator import channels_at, resolutions_of
from semsynth.networks.stylegan2.layers import EqualisedConv2d, EqualisedLinear, leaky_relu


class DiscriminatorBlock(nn.Module):
    """Residual block that halves height and width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = EqualisedConv2d(in_channels, in_channels, 3)
        self.conv1 = EqualisedConv2d(in_channels, out_channels, 3, down=True)
        self.skip = EqualisedConv2d(in_channels, out_channels, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Activations (B, C', H/2, W/2) of (B, C, H, W)."""
        return (self.conv1(self.conv0(x)) + self.skip(x)) * math.sqrt(0.5)


class StyleGAN2Discriminator(nn.Module):
    """Residual discriminator with the standard deviation over groups of the batch.

    A smaller batch than ``group_size`` is one group; widths are as in ``StyleGAN2Generator``.
    """

    def __init__(
        self,
        image_size: int = 256,
        channel_base: int = 32768,
        channel_max: int = 512,
        group_size: int = 4,
    ) -> None:
        super().__init__()
        self.group_size = group_size
        resolutions = resolutions_of(image_size)[::-1]
        widths = [channels_at(r, channel_base, channel_max) for r in resolutions]
        self.from_rgb = EqualisedConv2d(3, widths[0], 1)
        self.blocks = nn.Sequential(
            *[DiscriminatorBlock(widths[i], widths[i + 1]) for i in range(len(widths) - 1)]
        )
        self.conv = EqualisedConv2d(widths[-1] + 1, widths[-1], 3)
        self.fc = EqualisedLinear(widths[-1] * 16, widths[-1])
        self.out = EqualisedLinear(widths[-1], 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B,), float32, of images (B, 3, H, W) in [-1, 1]; positive for real.

        Raises:
            ValueError: The batch is not made of whole groups.
        """
        x = self.blocks(self.from_rgb(image))
        x = self.conv(append_batch_std(x, self.group_size))
        with torch.autocast(x.device.type, enabled=False):
            return self.out(leaky_relu(self.fc(x.float().flatten(1)))).squeeze(1)


def append_batch_std(x: Tensor, group_size: int) -> Tensor:
    """Append a channel with the mean standard deviation within a group: (B, C + 1, H, W).

    Samples whose indices are equal modulo the number of groups form a group.
    """
    B, _, H, W = x.shape
    group_size = min(group_size, B)
    if B % group_size:
        raise ValueError(
            f"The discriminator compares groups of {group_size} images; the batch size must be a "
            f"multiple of that, got {B}."
        )
    groups = x.float().unflatten(0, (group_size, -1))  # (group_size, groups, C, H, W)
    std = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    channel = std.repeat(group_size).view(B, 1, 1, 1).expand(B, 1, H, W)
    return torch.cat([x, channel.to(x.dtype)], dim=1)
