"""A small RAFT for small images, with a second output: log expansion."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.motion.geometry import (
    Motion,
    both_ways,
    check_pair,
    consistent,
    pixel_grid,
    sample,
)

STRIDE = 4
"""Pixels of a cell: an image of 64 pixels has 16 cells, where RAFT's own 8 would leave it 8."""


class Estimates(NamedTuple):
    """RAFT's outputs."""

    flows: Tensor  # in pixels, first and after each update (num_updates + 1, B, 2, H, W)
    log_expansion: Tensor  # after the last update (B, 1, H, W)


class RAFT(nn.Module):
    """Recurrent all-pairs field transforms (Teed & Deng, ECCV 2020).

    As in https://arxiv.org/abs/2003.12039, but finer, smaller, with one encoder for features and
    context, initialised by a global match, and with a head for the log expansion. The encoder has
    ``channels`` at half the resolution and twice as many at a quarter; a lookup reads
    ``2 * radius + 1`` cells along x and y on each of ``num_levels`` scales.
    """

    def __init__(
        self,
        channels: int = 16,
        feature_dim: int = 48,
        hidden_dim: int = 48,
        context_dim: int = 24,
        num_levels: int = 3,
        radius: int = 3,
        num_updates: int = 4,
    ) -> None:
        super().__init__()
        self.hidden_dim, self.num_levels = hidden_dim, num_levels
        self.radius, self.num_updates = radius, num_updates
        self.encoder = Encoder(channels)
        self.features = nn.Conv2d(2 * channels, feature_dim, 1)
        self.context = nn.Conv2d(2 * channels, hidden_dim + context_dim, 1)
        correlations = num_levels * (2 * radius + 1) ** 2
        self.slowness = nn.Parameter(torch.tensor(0.5))
        self.update = Update(correlations, hidden_dim, context_dim)
        self.expansion = head(hidden_dim, 1)
        self.upsampling = head(hidden_dim, 9 * STRIDE**2, 1)

    @property
    def smallest(self) -> int:
        """Smallest height and width: the coarsest scale of the correlation has two cells."""
        return STRIDE * 2**self.num_levels

    def forward(self, image_a: Tensor, image_b: Tensor) -> Estimates:
        """Flow and log expansion between images (B, 3, H, W) in [-1, 1]; H and W multiples of 4."""
        check_pair(image_a, image_b, STRIDE, self.smallest, "RAFT")
        B, _, H, W = image_a.shape
        encoded = self.encoder(torch.cat([image_a, image_b]))
        features_a, features_b = self.features(encoded).chunk(2)
        pyramid = correlation_pyramid(features_a, features_b, self.num_levels)
        hidden, context = self.context(encoded[:B]).tensor_split([self.hidden_dim], 1)
        hidden, context = hidden.tanh(), context.relu()
        grid = pixel_grid(H // STRIDE, W // STRIDE, image_a.device)
        flow = global_match(pyramid[0], B, self.slowness)  # in cells
        flows = [STRIDE * F.interpolate(flow, size=(H, W), mode="bilinear")]
        for _ in range(self.num_updates):
            flow = flow.detach()  # no gradients through the position of the lookup
            correlation = lookup(pyramid, grid + flow, self.radius)
            hidden, change = self.update(hidden, context, correlation, flow)
            flow = flow + change
            weights = 0.25 * self.upsampling(hidden)  # as in RAFT, to balance gradients
            flows.append(STRIDE * upsample(flow, weights))
        log_expansion = upsample(self.expansion(hidden), weights)
        return Estimates(torch.stack(flows), log_expansion)


class RAFTMotion(nn.Module):
    """A trained ``RAFT`` as an estimator of motion."""

    def __init__(self, network: RAFT) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, image_a: Tensor, image_b: Tensor) -> Motion:
        """Estimate the motion from ``image_a`` to ``image_b``, both (B, 3, H, W) in [-1, 1]."""
        flows, log_expansion = self.network(*both_ways(image_a, image_b))
        forward, backward = flows[-1].chunk(2)
        expansion = log_expansion.chunk(2)[0]
        return Motion(forward, expansion, consistent(forward, backward))


class Encoder(nn.Module):
    """Features at a quarter of the resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 5, stride=2, padding=2),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(
            ResidualBlock(channels, channels, 1),
            ResidualBlock(channels, 2 * channels, 2),
            ResidualBlock(2 * channels, 2 * channels, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Features (B, 2 * channels, H / 4, W / 4) of images (B, 3, H, W)."""
        return self.blocks(self.stem(image))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to their input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1),
            nn.InstanceNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.InstanceNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )
        same = in_channels == out_channels and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Activations (B, out_channels, H / stride, W / stride)."""
        return (self.shortcut(x) + self.body(x)).relu()


class Update(nn.Module):
    """One step: read correlation and flow, update the state, predict a change of the flow."""

    def __init__(self, correlations: int, hidden_dim: int, context_dim: int) -> None:
        super().__init__()
        self.read_correlation = nn.Conv2d(correlations, hidden_dim, 1)
        self.read_flow = nn.Conv2d(2, 16, 5, padding=2)
        self.read_both = nn.Conv2d(hidden_dim + 16, hidden_dim - 2, 3, padding=1)
        self.gru = ConvGRU(hidden_dim, context_dim + hidden_dim)
        self.flow = head(hidden_dim, 2)

    def forward(
        self, hidden: Tensor, context: Tensor, correlation: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New state (B, hidden_dim, h, w) and change of the flow (B, 2, h, w), all in cells."""
        read = torch.cat([self.read_correlation(correlation), self.read_flow(flow)], 1).relu()
        motion = torch.cat([self.read_both(read).relu(), flow], 1)
        hidden = self.gru(hidden, torch.cat([context, motion], 1))
        return hidden, self.flow(hidden)


class ConvGRU(nn.Module):
    """A gated recurrent unit whose products are 3x3 convolutions."""

    def __init__(self, hidden_dim: int, in_channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(hidden_dim + in_channels, 2 * hidden_dim, 3, padding=1)
        self.candidate = nn.Conv2d(hidden_dim + in_channels, hidden_dim, 3, padding=1)

    def forward(self, hidden: Tensor, x: Tensor) -> Tensor:
        """New state (B, hidden_dim, h, w) from the old one and the input (B, in_channels, h, w)."""
        update, reset = self.gates(torch.cat([hidden, x], 1)).sigmoid().chunk(2, 1)
        candidate = self.candidate(torch.cat([reset * hidden, x], 1)).tanh()
        return torch.lerp(hidden, candidate, update)


def head(hidden_dim: int, out_channels: int, kernel_size: int = 3) -> nn.Sequential:
    """Two convolutions from a state to numbers; the size is kept."""
    return nn.Sequential(
        nn.Conv2d(hidden_dim, hidden_dim, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden_dim, out_channels, kernel_size, padding=kernel_size // 2),
    )


def correlation_pyramid(features_a: Tensor, features_b: Tensor, num_levels: int) -> list[Tensor]:
    """Correlation (B * h * w, 1, h / 2^i, w / 2^i) of all pairs of cells.

    Scaled products of features (B, C, h, w), on scales i from 0 to ``num_levels`` - 1.
    """
    B, C, h, w = features_a.shape
    product = features_a.flatten(2).transpose(1, 2) @ features_b.flatten(2)  # (B, h*w, h*w)
    pyramid = [product.view(B * h * w, 1, h, w) / C**0.5]
    for _ in range(num_levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


def global_match(correlation: Tensor, batch_size: int, slowness: Tensor) -> Tensor:
    """Flow (B, 2, h, w) in cells to the mean of all cells, weighted by their similarity.

    An initial estimate (Xu et al., CVPR 2022) that trains the features for matching from the first
    step on. It reads scale 0 (B * h * w, 1, h, w). On uniform background near cells have more
    weight: ``slowness`` times the squared distance in cells is subtracted.
    """
    h, w = correlation.shape[-2:]
    cells = pixel_grid(h, w, correlation.device).flatten(1).T  # (h * w, 2)
    distance = torch.cdist(cells, cells, compute_mode="donot_use_mm_for_euclid_dist").square()
    similarity = correlation.view(batch_size, h * w, h * w) - slowness * distance
    flow = similarity.softmax(2) @ cells - cells  # (B, h * w, 2)
    return flow.transpose(1, 2).reshape(batch_size, 2, h, w)


def lookup(pyramid: list[Tensor], place: Tensor, radius: int) -> Tensor:
    """Look up the correlation around the position that each cell has moved to.

    Args:
        pyramid: Correlation on each scale (B * h * w, 1, h_i, w_i).
        place: Place (x, y) of each cell in the second image (B, 2, h, w), in cells of scale 0.
        radius: Cells in each direction.

    Returns:
        Bilinear values (B, num_levels * (2 * radius + 1)^2, h, w); beyond the border, 0.
    """
    B, _, h, w = place.shape
    window = pixel_grid(2 * radius + 1, 2 * radius + 1, place.device).permute(1, 2, 0) - radius
    centre = place.permute(0, 2, 3, 1).reshape(B * h * w, 1, 1, 2)
    values = [
        # Cell 0 of a coarser scale covers cells 0 to 2^i - 1 of scale 0.
        sample(level, (centre + 0.5) / 2**i - 0.5 + window, "zeros")
        for i, level in enumerate(pyramid)
    ]
    return torch.cat(values, 1).view(B, h, w, -1).permute(0, 3, 1, 2)


def upsample(field: Tensor, weights: Tensor) -> Tensor:
    """Convex upsampling of a field (B, C, h, w) by STRIDE from the nine cells around each pixel.

    The logits of the weights are (B, 9 * STRIDE^2, h, w).
    """
    B, C, h, w = field.shape
    weights = weights.view(B, 1, 9, STRIDE**2, h * w).softmax(2)
    padded = F.pad(field, [1] * 4, mode="replicate")
    neighbours = F.unfold(padded, 3).view(B, C, 9, 1, h * w)
    pixels = (weights * neighbours).sum(2)  # (B, C, STRIDE^2, h * w)
    return F.pixel_shuffle(pixels.reshape(B, C * STRIDE**2, h, w), STRIDE)
