"""Generator with spatially-adaptive normalisation (Park et al., CVPR 2019).

Paper: https://arxiv.org/abs/1903.07291.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from semsynth.networks.checkpointing import run_again
from semsynth.networks.clvae.painted import Painted, convolve

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


class SpectralNorm(_SpectralNorm):
    """Torch's spectral normalisation, with a product where torch divides.

    The backward pass of a quotient goes over the weights four times as often, which at small
    batches is a tenth of a step.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """Divide a weight by its largest singular value, after a power iteration in training."""
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = (x.clone(memory_format=torch.contiguous_format) for x in (self._u, self._v))
        return weight * torch.vdot(u, torch.mv(matrix, v)).reciprocal()


def spectral_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    bias: bool = True,
    groups: int = 1,
) -> nn.Conv2d:
    """Spectrally normalised convolution that keeps (stride 1) or halves (stride 2) the size."""
    sizes = (in_channels, out_channels, kernel_size, stride, kernel_size // 2)
    conv = nn.Conv2d(*sizes, bias=bias, groups=groups)
    spectral = SpectralNorm(conv.weight, n_power_iterations=1, eps=1e-12)
    parametrize.register_parametrization(conv, "weight", spectral)
    return conv


def resize_layout(layout: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a layout to (H, W) by nearest neighbour; a layout of that size is not copied."""
    if tuple(layout.shape[-2:]) == tuple(size):
        return layout
    return F.interpolate(layout, size=tuple(size), mode="nearest")


def fit_layout(layout: Tensor | Painted, x: Tensor) -> Tensor | Painted:
    """Resize a layout of either kind to the size of activations."""
    if isinstance(layout, Painted):
        return layout.resized(x.shape[-2], x.shape[-1])
    return resize_layout(layout, x.shape[-2:])


class SPADE(nn.Module):
    """Spatially-adaptive normalisation.

    Args:
        channels: Channels of the activations.
        layout_channels: Channels of the layout.
        hidden_channels: Channels between layout and modulation.
        groups: Groups of the convolutions.
    """

    def __init__(
        self, channels: int, layout_channels: int, hidden_channels: int = 128, groups: int = 1
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Sequential(
            nn.Conv2d(layout_channels, hidden_channels, 3, padding=1, groups=groups), nn.ReLU()
        )
        self.gamma = nn.Conv2d(hidden_channels, channels, 3, padding=1, groups=groups)
        self.beta = nn.Conv2d(hidden_channels, channels, 3, padding=1, groups=groups)

    def forward(self, x: Tensor, layout: Tensor | Painted) -> Tensor:
        """Normalise activations, then scale and shift them per pixel.

        Args:
            x: Activations (B, C, H, W).
            layout: Layout (B, L, H', W'), resized to (H, W) by nearest neighbour.

        Returns:
            Modulated activations (B, C, H, W).
        """
        layout = fit_layout(layout, x)
        if self.gamma.groups > 1:
            dense = layout.dense() if isinstance(layout, Painted) else layout
            return self.modulate(self.norm(x), self.shared(dense))
        (hidden,) = hidden_maps([self], layout)
        return self.modulate(self.norm(x), hidden)

    def modulate(self, normalised: Tensor, hidden: Tensor) -> Tensor:
        """Scale by 1 + gamma and shift by beta, which are convolutions of hidden maps."""
        assert self.gamma.bias is not None
        scale = self.gamma._conv_forward(hidden, self.gamma.weight, self.gamma.bias + 1)
        return torch.addcmul(self.beta(hidden), normalised, scale)


def hidden_maps(spades: Sequence[SPADE], layout: Tensor | Painted) -> list[Tensor]:
    """What SPADE layers make of one layout, by one convolution: (B, hidden_channels, H, W) each.

    Args:
        spades: The layers.
        layout: Layout (B, L, H, W).
    """
    convs = [spade.shared[0] for spade in spades]
    weight = torch.cat([conv.get_parameter("weight") for conv in convs])
    bias = torch.cat([conv.get_parameter("bias") for conv in convs])
    return [F.relu(x) for x in convolve(layout, weight, bias).chunk(len(convs), dim=1)]


def normalise_for_both(
    norm: nn.BatchNorm2d, other: nn.BatchNorm2d, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Normalise one input by two layers. In training they share the batch, and so the work.

    Each keeps its own running statistics, in which imported checkpoints differ.
    """
    if not norm.training:
        return norm(x), other(x)
    assert norm.momentum is not None
    mine, theirs = (
        [n.get_buffer(k) for k in ("running_mean", "running_var")] for n in (norm, other)
    )
    before = [m.clone() for m in mine]
    normalised = norm(x)
    with torch.no_grad():
        for old, new, to in zip(before, mine, theirs, strict=True):
            to.lerp_(old, norm.momentum).add_(new - old)  # as (1 - m) * to + m * of the batch
        if other.num_batches_tracked is not None:  # None while a block is computed again
            other.num_batches_tracked.add_(1)
    return normalised, normalised


class ModulatedResBlock(nn.Module):
    """Residual block with modulated normalisation; its shortcut is learned where the width changes.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        modulation: Builds a layer that normalises so many channels and modulates them by a layout.
        groups: Groups of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modulation: Callable[[int], nn.Module],
        groups: int = 1,
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.spade_0 = modulation(in_channels)
        self.conv_0 = spectral_conv(in_channels, middle, 3, groups=groups)
        self.spade_1 = modulation(middle)
        self.conv_1 = spectral_conv(middle, out_channels, 3, groups=groups)
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.spade_s = modulation(in_channels)
            self.conv_s = spectral_conv(in_channels, out_channels, 1, bias=False, groups=groups)

    def forward(self, x: Tensor, layout: Tensor | Painted) -> Tensor:
        """Transform activations (B, in_channels, H, W) under a layout of any size."""
        layout = fit_layout(layout, x)
        h = self.conv_0(F.leaky_relu(self.spade_0(x, layout), LEAK))
        h = self.conv_1(F.leaky_relu(self.spade_1(h, layout), LEAK))
        return h + (self.conv_s(self.spade_s(x, layout)) if self.learned_shortcut else x)


class SPADEResBlock(ModulatedResBlock):
    """Residual block of SPADE layers, which share what they have in common.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        layout_channels: Channels of the layout.
        spade_channels: Hidden channels of the SPADE layers.
    """

    spade_0: SPADE
    spade_1: SPADE
    spade_s: SPADE

    def __init__(
        self, in_channels: int, out_channels: int, layout_channels: int, spade_channels: int = 128
    ) -> None:
        super().__init__(
            in_channels, out_channels, lambda width: SPADE(width, layout_channels, spade_channels)
        )

    def forward(self, x: Tensor, layout: Tensor | Painted) -> Tensor:
        """Transform activations (B, in_channels, H, W) under a layout of any size."""
        layout = fit_layout(layout, x)
        if not self.learned_shortcut:
            hidden_0, hidden_1 = hidden_maps([self.spade_0, self.spade_1], layout)
            return x + self.residual(self.spade_0.norm(x), hidden_0, hidden_1)
        spades = [self.spade_0, self.spade_1, self.spade_s]
        hidden_0, hidden_1, hidden_s = hidden_maps(spades, layout)
        normalised, of_shortcut = normalise_for_both(self.spade_0.norm, self.spade_s.norm, x)
        shortcut = self.conv_s(self.spade_s.modulate(of_shortcut, hidden_s))
        return shortcut + self.residual(normalised, hidden_0, hidden_1)

    def residual(self, normalised: Tensor, hidden_0: Tensor, hidden_1: Tensor) -> Tensor:
        """Modulate and convolve twice."""
        h = self.conv_0(F.leaky_relu(self.spade_0.modulate(normalised, hidden_0), LEAK))
        h = self.spade_1.modulate(self.spade_1.norm(h), hidden_1)
        return self.conv_1(F.leaky_relu(h, LEAK))


class SPADEGenerator(nn.Module):
    """Residual generator whose blocks read one layout each.

    Args:
        z_dim: Dimension of the latent vector.
        image_size: Height and width of the images.
        channels: Channels of the last block; the first has 16 times as many.
        layout_channels: Channels of the layout of each block, coarse to fine.
        spade_channels: Hidden channels of the SPADE layers.
        upsampling: Number of doublings: 5 ("normal"), 6 ("more") or 7 ("most", one block more).
        start: Makes the first map (B, 16 * channels, h, w), or its values in one row; a linear
            layer on the latent vector if not given.
        build_block: Builds a block from the numbers of its channels, in and out, and from its
            place; SPADE's if not given.
        checkpointing: Keep the inputs of the blocks alone for the backward pass, and compute the
            rest again: less memory, a third more time.
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
        start: nn.Module | None = None,
        build_block: Callable[[int, int, int], nn.Module] | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.doubled = _DOUBLED[upsampling]
        if len(layout_channels) != len(self.doubled):
            raise ValueError(
                f"layout_channels must have {len(self.doubled)} entries for "
                f"upsampling='{upsampling}', got {len(layout_channels)}; give one for each block."
            )
        self.grid = start_grid(image_size, upsampling)
        self.checkpointing = checkpointing
        widths = block_widths(channels, upsampling)
        self.start = start or nn.Linear(z_dim, widths[0] * self.grid[0] * self.grid[1])
        build = build_block or (
            lambda a, b, i: SPADEResBlock(a, b, layout_channels[i], spade_channels)
        )
        self.blocks = nn.ModuleList(build(a, b, i) for i, (a, b) in enumerate(pairwise(widths)))
        self.to_image = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor, layouts: Sequence[Tensor | Painted]) -> Tensor:
        """Generate images.

        Args:
            z: Latent vectors (B, z_dim), or what else ``start`` takes.
            layouts: One layout (B, layout_channels[i], H', W') for each block, of any size.

        Returns:
            Images (B, 3, H, W) in [-1, 1].
        """
        x = self.start(z)
        x = x.unflatten(1, (-1, *self.grid)) if x.ndim == 2 else x  # (B, 16 * channels, h, w)
        for block, layout, doubled in zip(self.blocks, layouts, self.doubled, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") if doubled else x
            x = run_again(block, x, layout) if self.checkpointing else block(x, layout)
        return torch.tanh(self.to_image(F.leaky_relu(x, LEAK)).float())


def block_widths(channels: int, upsampling: Upsampling) -> list[int]:
    """Channels into each block and out of the last."""
    widths = [channels * factor for factor in _WIDTHS]
    return [*widths, channels // 2] if upsampling == "most" else widths


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
