"""Encoder of layouts or images to styles: pSp's feature pyramid on a residual network.

Richardson et al., "Encoding in Style", CVPR 2021 (https://arxiv.org/abs/2008.00951); the residual
network is the IR-SE-50 of Deng et al., CVPR 2019 (https://arxiv.org/abs/1801.07698).
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn, stack

from semsynth.networks.stylegan2.layers import EqualisedLinear

COARSE, MIDDLE = 3, 7  # styles before these come from the smallest and the middle map
REDUCTION = 16


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation: scales channels by global context (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // REDUCTION, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled activations (B, C, H, W)."""
        scale = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * scale.sigmoid()


class Bottleneck(nn.Module):
    """Residual unit of IR-SE networks: normalisation first, stride in the second convolution."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.residual = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.PReLU(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            SqueezeExcitation(out_channels),
        )
        self.shortcut: nn.Module | None = None
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Activations (B, C', H, W), or half of that, of activations (B, C, H, W)."""
        if self.shortcut is None:
            return self.residual(x) + x[:, :, :: self.stride, :: self.stride]
        return self.residual(x) + self.shortcut(x)


class StyleHead(nn.Module):
    """Reduces a map to a style by convolutions of stride 2 and a linear layer ("map2style")."""

    def __init__(self, channels: int, size: int, w_dim: int) -> None:
        super().__init__()
        self.convs = nn.Sequential()
        for _ in range(size.bit_length() - 1):
            self.convs.append(nn.Conv2d(channels, channels, 3, 2, 1))
            self.convs.append(nn.LeakyReLU(0.01))
        self.linear = EqualisedLinear(channels, w_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Style (B, w_dim) of a map (B, C, size, size)."""
        return self.linear(self.convs(x).flatten(1))


class GradualStyleEncoder(nn.Module):
    """Maps layouts to styles, relative to the mean latent, which is not added here.

    The first three styles come from the smallest of three maps, the next four from the middle one,
    all others from the largest. The defaults are the published network; ``units`` of (1, 1, 1, 1)
    and ``widths`` of (16, 32, 48, 64) make one for toys.

    Args:
        in_channels: Channels of the input, such as the number of classes.
        num_ws: Styles to predict; may be fewer than a generator's.
        image_size: Height and width of the input, a power of two from 32.
        w_dim: Length of a style.
        units: Residual units of each of the four groups.
        widths: Channels of the groups; the last also those of the pyramid and the heads.
    """

    def __init__(
        self,
        in_channels: int,
        num_ws: int,
        image_size: int = 256,
        w_dim: int = 512,
        units: Sequence[int] = (3, 4, 14, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        check_encoder(num_ws, image_size, units, widths)
        self.in_channels, self.num_ws, self.image_size = in_channels, num_ws, image_size
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.PReLU(widths[0]),
        )
        self.groups = nn.ModuleList(
            residual_group(widths[max(i - 1, 0)], widths[i], units[i]) for i in range(4)
        )
        channels = widths[3]
        self.lateral1 = nn.Conv2d(widths[2], channels, 1)
        self.lateral2 = nn.Conv2d(widths[1], channels, 1)
        self.heads = nn.ModuleList(
            StyleHead(channels, image_size // (16, 8, 4)[level_of(i)], w_dim) for i in range(num_ws)
        )

    def forward(self, layout: Tensor) -> Tensor:
        """Styles (B, num_ws, w_dim), float32, of square layouts (B, in_channels, H, W)."""
        if layout.shape[1:] != (self.in_channels, self.image_size, self.image_size):
            raise ValueError(
                f"The encoder takes layouts (B, {self.in_channels}, {self.image_size}, "
                f"{self.image_size}), got {tuple(layout.shape)}; resize the label map."
            )
        x, taps = self.stem(layout), []
        for group in self.groups:
            x = group(x)
            taps.append(x)
        small = taps[3]
        middle = enlarge(small, taps[2]) + self.lateral1(taps[2])
        large = enlarge(middle, taps[1]) + self.lateral2(taps[1])
        maps = (small, middle, large)
        styles = [head(maps[level_of(i)]) for i, head in enumerate(self.heads)]
        return stack(styles, 1).float()


def level_of(style: int) -> int:
    """From which map a style comes: 0 the smallest, 2 the largest."""
    return int(style >= COARSE) + int(style >= MIDDLE)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Resize a map (B, C, h, w) to the height and width of another, with aligned corners."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def residual_group(in_channels: int, out_channels: int, units: int) -> nn.Sequential:
    """Residual units, the first of which halves height and width."""
    blocks: list[Any] = [Bottleneck(in_channels, out_channels, 2)]
    blocks += [Bottleneck(out_channels, out_channels, 1) for _ in range(units - 1)]
    return nn.Sequential(*blocks)


def check_encoder(
    num_ws: int, image_size: int, units: Sequence[int], widths: Sequence[int]
) -> None:
    """Refuse invalid arguments of the encoder."""
    if image_size < 32 or image_size & (image_size - 1):
        raise ValueError(
            f"The encoder halves its input to one pixel: image_size must be a power of two from "
            f"32, got {image_size}."
        )
    if num_ws < 1:
        raise ValueError(f"num_ws must be at least 1, got {num_ws}.")
    if len(units) != 4 or len(widths) != 4 or min(*units, *widths) < 1:
        raise ValueError(
            f"units and widths must name four groups, each of at least 1, got {tuple(units)} and "
            f"{tuple(widths)}."
        )
