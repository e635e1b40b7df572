"""Generator with spatially-adaptive normalisation (Park et al., CVPR 2019).

Paper: https://arxiv.org/abs/1903.07291.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

IGNORE_INDEX = 255
LEAK = 0.2

Upsampling = Literal["normal", "more", "most"]
# Before which blocks the map is doubled: the two middle blocks share a size only in "normal".
_DOUBLED = {
    "normal": (False, True, False, True, True, True, True),
    "more": (False, True, True, True, True, True, True),
    "most": (False, True, True, True, True, True, True, True),
}
_WIDTHS = (16, 16, 16, 16, 8, 4, 2, 1)  # times channels, into each block and out of the last


def one_hot(mask: Tensor, num_classes: int) -> Tensor:
    """One-hot layout of a label map; ignored pixels are zero in all channels.

    Args:
        mask: Label map (B, H, W), int64.
        num_classes: Channels of the layout.

    Returns:
        Layout (B, num_classes, H, W), float32.
    """
    B, H, W = mask.shape
    known = mask != IGNORE_INDEX
    layout = torch.zeros(B, num_classes, H, W, device=mask.device)
    return layout.scatter(1, (mask * known)[:, None], known[:, None].float())


def spectral_conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, bias: bool = True
) -> nn.Conv2d:
    """Spectrally normalised convolution that keeps (stride 1) or halves (stride 2) the size."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=bias)
    spectral_norm(conv, n_power_iterations=1, eps=1e-12)
    return conv


def resize_layout(layout: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a layout to (H, W) by nearest neighbour; a layout of that size is not copied."""
    if tuple(layout.shape[-2:]) == tuple(size):
        return layout
    return F.interpolate(layout, size=tuple(size), mode="nearest")


class SPADE(nn.Module):
    """Spatially-adaptive normalisation.

    Args:
        channels: Channels of the activations.
        layout_channels: Channels of the layout.
        hidden_channels: Channels between layout and modulation.
    """

    def __init__(self, channels: int, layout_channels: int, hidden_channels: int = 128) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Sequential(
            nn.Conv2d(layout_channels, hidden_channels, 3, padding=1), nn.ReLU()
        )
        self.gamma = nn.Conv2d(hidden_channels, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden_channels, channels, 3, padding=1)

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        """Normalise activations, then scale and shift them per pixel.

        Args:
            x: Activations (B, C, H, W).
            layout: Layout (B, L, H', W'), resized to (H, W) by nearest neighbour.

        Returns:
            Modulated activations (B, C, H, W).
        """
        hidden = self.shared(resize_layout(layout, x.shape[-2:]))
        return self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)


class SPADEResBlock(nn.Module):
    """Residual block of two SPADE layers; the shortcut is learned where the width changes.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        layout_channels: Channels of the layout.
        spade_channels: Hidden channels of the SPADE layers.
    """

    def __init__(
        self, in_channels: int, out_channels: int, layout_channels: int, spade_channels: int = 128
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.spade_0 = SPADE(in_channels, layout_channels, spade_channels)
        self.conv_0 = spectral_conv(in_channels, middle, 3)
        self.spade_1 = SPADE(middle, layout_channels, spade_channels)
        self.conv_1 = spectral_conv(middle, out_channels, 3)
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.spade_s = SPADE(in_channels, layout_channels, spade_channels)
            self.conv_s = spectral_conv(in_channels, out_channels, 1, bias=False)

    def shortcut(self, x: Tensor, layout: Tensor) -> Tensor:
        """The input, brought to the output's width without an activation."""
        return self.conv_s(self.spade_s(x, layout)) if self.learned_shortcut else x

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        """Transform activations (B, in_channels, H, W) under a layout of any size."""
        layout = resize_layout(layout, x.shape[-2:])  # once for all SPADE layers
        h = self.conv_0(F.leaky_relu(self.spade_0(x, layout), LEAK))
        h = self.conv_1(F.leaky_relu(self.spade_1(h, layout), LEAK))
        return self.shortcut(x, layout) + h


class SPADEGenerator(nn.Module):
    """Residual generator whose blocks read one layout each.

    Args:
        z_dim: Dimension of the latent vector.
        image_size: Height and width of the images.
        channels: Channels of the last block; the first has 16 times as many.
        layout_channels: Channels of the layout of each block, coarse to fine.
        spade_channels: Hidden channels of the SPADE layers.
        upsampling: Number of doublings: 5 ("normal"), 6 ("more") or 7 ("most", one block more).
    """

    def __init__(
        self,
        z_dim: int,
        image_size: tuple[int, int],
        channels: int = 64,
        *,
        layout_channels: Sequence[int],
        spade_channels: int = 128,
        upsampling: Upsampling = "normal",
    ) -> None:
        super().__init__()
        self.doubled = _DOUBLED[upsampling]
        if len(layout_channels) != len(self.doubled):
            raise ValueError(
                f"layout_channels must have {len(self.doubled)} entries for "
                f"upsampling='{upsampling}', got {len(layout_channels)}; give one for each block."
            )
        self.grid = start_grid(image_size, upsampling)
        widths = [channels * factor for factor in _WIDTHS]
        if upsampling == "most":
            widths.append(channels // 2)
        self.start = nn.Linear(z_dim, widths[0] * self.grid[0] * self.grid[1])
        self.blocks = nn.ModuleList(
            SPADEResBlock(a, b, layout, spade_channels)
            for a, b, layout in zip(widths[:-1], widths[1:], layout_channels, strict=True)
        )
        self.to_image = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor, layouts: Sequence[Tensor]) -> Tensor:
        """Generate images.

        Args:
            z: Latent vectors (B, z_dim).
            layouts: One layout (B, layout_channels[i], H', W') for each block, of any size.

        Returns:
            Images (B, 3, H, W) in [-1, 1].
        """
        x = self.start(z).unflatten(1, (-1, *self.grid))  # (B, 16 * channels, h, w)
        for block, layout, doubled in zip(self.blocks, layouts, self.doubled, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") if doubled else x
            x = block(x, layout)
        return torch.tanh(self.to_image(F.leaky_relu(x, LEAK)).float())


def start_grid(image_size: tuple[int, int], upsampling: Upsampling = "normal") -> tuple[int, int]:
    """Height and width of the generator's first map."""
    factor = 2 ** sum(_DOUBLED[upsampling])
    H, W = image_size
    if H % factor or W % factor or min(H, W) < factor:
        raise ValueError(
            f"image_size must be divisible by {factor} for upsampling='{upsampling}', "
            f"got {(H, W)}; resize the images or choose another upsampling."
        )
    return H // factor, W // factor


@torch.no_grad()
def initialise(module: nn.Module, mode: Literal["upstream_gpu", "xavier"]) -> None:
    """Initialise convolutions and linear layers in place; embeddings are left alone.

    The nominal rule of SPADE and of CLVAE is Xavier with gain 0.02 everywhere. Their released code
    moves the networks to the GPU first, after which the rule no longer reaches the weights under
    spectral normalisation: those train from PyTorch's default. "upstream_gpu" is what was run.

    Args:
        module: Networks to initialise.
        mode: Whether weights under spectral normalisation keep PyTorch's default.
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if not parametrize.is_parametrized(layer, "weight"):
            nn.init.xavier_normal_(layer.weight, gain=0.02)
        elif mode == "xavier":
            _initialise_spectral(layer)


def _initialise_spectral(layer: nn.Module) -> None:
    """Redraw a weight under spectral normalisation, and its singular vectors with it."""
    weights = layer.get_submodule("parametrizations.weight")
    nn.init.xavier_normal_(weights.get_parameter("original"), gain=0.02)
    for _ in range(15):
        _ = layer.weight  # in training mode each read is one power iteration
