"""Faster SPADE layers and blocks than those of ``spade``, with the same parameters.

A layout may be given by labels and a table of their vectors. The first convolution of a SPADE layer
at a pixel is then a sum of nine terms, each of which depends on only one label. So the vectors are
convolved instead of the pixels: a table of nine rows per label, of which each pixel looks up and
sums nine. That is exact, and on a CPU about ten times as fast as the convolution, forward and
backward.

The layers of a block also convolve the layout at once, those of the same input share its batch
statistics, and one is added to the bias of gamma instead of to its maps.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.layouts import resize_layout
from semsynth.networks.clvae.spade import LEAK, SPADE, ModulatedResBlock


class Painted(NamedTuple):
    """A layout (B, L, H, W) by its labels."""

    labels: Tensor  # row of each pixel in the tables (B, H, W), int64
    tables: Tensor  # vectors (B, R, L), or (1, R, L) if all images share them

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (B, L, H, W) of the layout."""
        B, H, W = self.labels.shape
        return B, self.tables.shape[2], H, W

    def resized(self, height: int, width: int) -> Self:
        """The layout at a smaller size, by nearest neighbour."""
        H, W = self.labels.shape[1:]
        if (height, width) == (H, W):
            return self
        rows = torch.arange(height, device=self.labels.device) * H // height
        columns = torch.arange(width, device=self.labels.device) * W // width
        return self._replace(labels=self.labels[:, rows[:, None], columns])

    def rows(self) -> Tensor:
        """Row of each pixel (B, H, W) in the concatenated tables of all images."""
        if len(self.tables) == 1:
            return self.labels
        first = torch.arange(len(self.labels), device=self.labels.device) * self.tables.shape[1]
        return self.labels + first[:, None, None]

    def dense(self) -> Tensor:
        """The layout (B, L, H, W)."""
        return F.embedding(self.rows(), self.tables.flatten(0, 1)).permute(0, 3, 1, 2)

    def convolved(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve the layout with weights (O, L, 3, 3) after zero padding: (B, O, H, W)."""
        if self.labels.device.type != "cpu":  # where the convolution is faster
            return F.conv2d(self.dense(), weight, bias, padding=1)
        B, H, W = self.labels.shape
        joined = self.tables.flatten(0, 1)
        taps = joined @ weight.permute(1, 2, 3, 0).flatten(1)  # (rows, 9 * O)
        taps = F.pad(taps, (0, 0, 0, 1)).float().unflatten(1, (9, -1)).flatten(0, 1)
        around = F.pad(
            self.rows(), (1, 1, 1, 1), value=len(joined)
        )  # the last row is for the padding
        windows = around.unfold(1, 3, 1).unfold(2, 3, 1).reshape(-1, 9)
        index = windows * 9 + torch.arange(9, device=windows.device)
        maps = F.embedding_bag(index, taps, mode="sum").view(B, H, W, -1).permute(0, 3, 1, 2)
        return maps if bias is None else maps + bias[:, None, None]


AnyLayout = Tensor | Painted


class FastSPADE(SPADE):
    """SPADE for a layout of either kind."""

    def forward(self, x: Tensor, layout: AnyLayout) -> Tensor:
        """Modulate activations (B, C, H, W) by a layout (B, L, H', W'), resized to (H, W)."""
        layout = fit_layout(layout, x)
        if self.gamma.groups > 1:
            hidden = self.shared(layout.dense() if isinstance(layout, Painted) else layout)
        else:
            (hidden,) = hidden_maps([self], layout)
        return self.modulate(self.norm(x), hidden)

    def modulate(self, normalised: Tensor, hidden: Tensor) -> Tensor:
        """Scale by 1 + gamma and shift by beta, which are convolutions of hidden maps."""
        assert self.gamma.bias is not None
        scale = self.gamma._conv_forward(hidden, self.gamma.weight, self.gamma.bias + 1)
        return torch.addcmul(self.beta(hidden), normalised, scale)


class SPADEResBlock(ModulatedResBlock):
    """Residual block of SPADE layers with shared computations."""

    spade_0: FastSPADE
    spade_1: FastSPADE
    spade_s: FastSPADE

    def __init__(
        self, in_channels: int, out_channels: int, layout_channels: int, spade_channels: int = 128
    ) -> None:
        sizes = (layout_channels, spade_channels)
        super().__init__(in_channels, out_channels, lambda width: FastSPADE(width, *sizes))

    def forward(self, x: Tensor, layout: AnyLayout) -> Tensor:
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


def fit_layout(layout: AnyLayout, x: Tensor) -> AnyLayout:
    """Resize a layout of either kind to the size of activations."""
    if isinstance(layout, Painted):
        return layout.resized(x.shape[-2], x.shape[-1])
    return resize_layout(layout, x.shape[-2:])


def hidden_maps(spades: Sequence[SPADE], layout: AnyLayout) -> list[Tensor]:
    """Hidden maps (B, hidden_channels, H, W) of SPADE layers of a layout, by one convolution."""
    convs = [spade.shared[0] for spade in spades]
    weight = torch.cat([conv.get_parameter("weight") for conv in convs])
    bias = torch.cat([conv.get_parameter("bias") for conv in convs])
    return [F.relu(x) for x in convolve(layout, weight, bias).chunk(len(convs), dim=1)]


def normalise_for_both(
    norm: nn.BatchNorm2d, other: nn.BatchNorm2d, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Normalise one input by two layers, sharing batch statistics in training.

    Each keeps its own running statistics, which differ in imported checkpoints.
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
        if other.num_batches_tracked is not None:  # None while a block is recomputed
            other.num_batches_tracked.add_(1)
    return normalised, normalised


def painted_one_hot(labels: Tensor, num_classes: int, channels: int | None = None) -> Painted:
    """One-hot layout of label maps (B, H, W); zero for ``num_classes`` and in further channels."""
    table = torch.eye(num_classes + 1, num_classes, device=labels.device)
    return Painted(labels, F.pad(table, (0, (channels or num_classes) - num_classes))[None])


def convolve(layout: Tensor | Painted, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve a layout of either kind by 3x3, with zero padding: (B, O, H, W)."""
    if isinstance(layout, Painted):
        return layout.convolved(weight, bias)
    return F.conv2d(layout, weight, bias, padding=1)
