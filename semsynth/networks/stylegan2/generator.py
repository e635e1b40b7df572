"""The generator of StyleGAN2 (Karras et al., CVPR 2020, https://arxiv.org/abs/1912.04958)."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.layers import (
    SQRT2,
    EqualisedLinear,
    ModulatedConv2d,
    leaky_relu,
    upsample,
)

Noise = Literal["random", "stored", "none"] | Sequence[Tensor]
"""Noise of the styled convolutions: random, the maps stored with the weights, none, or given: one
tensor (B, 1, H, W) or (1, 1, H, W) for each convolution, from 4x4 upwards."""


def resolutions_of(image_size: int) -> list[int]:
    """The resolutions from 4x4 up to an image size, a power of two from 16 to 1024."""
    if image_size not in (16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(
            f"StyleGAN2 makes square images whose size is a power of two from 16 to 1024, got "
            f"image_size {image_size}."
        )
    return [4 << i for i in range(image_size.bit_length() - 2)]


def channels_at(resolution: int, channel_base: int, channel_max: int) -> int:
    """Width of the layers at a resolution."""
    channels = min(channel_max, channel_base // resolution)
    if channels < 1:
        raise ValueError(
            f"channel_base {channel_base} and channel_max {channel_max} leave no channel at "
            f"{resolution}x{resolution}; channel_base must be at least the image size."
        )
    return channels


class Hold(NamedTuple):
    """What the outside of a region shows: the state of other images at one resolution.

    Attributes:
        region: How much each pixel may differ from it (B, 1, r, r) in [0, 1].
        features: Activations (B, C, r, r) after the last convolution of the resolution.
        image: Colours (B, 3, r, r) so far.
    """

    region: Tensor
    features: Tensor
    image: Tensor


class MappingNetwork(nn.Module):
    """Maps Gaussian latents z to styles w, in float32."""

    def __init__(
        self, z_dim: int = 512, w_dim: int = 512, num_layers: int = 8, lr_multiplier: float = 0.01
    ) -> None:
        super().__init__()
        sizes = [z_dim, *[w_dim] * num_layers]
        self.layers = nn.ModuleList(
            EqualisedLinear(sizes[i], sizes[i + 1], lr_multiplier=lr_multiplier)
            for i in range(num_layers)
        )

    def forward(self, z: Tensor, axis: int = -1) -> Tensor:
        """Map z (..., z_dim) to w (..., w_dim); an axis of z, the last one, is normalised first."""
        with torch.autocast(z.device.type, enabled=False):
            x = z.float()
            x = x * (x.square().mean(axis, keepdim=True) + 1e-8).rsqrt()
            for layer in self.layers:
                x = leaky_relu(layer(x))
        return x


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU."""

    noise: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, resolution: int, w_dim: int, up: bool = False
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, w_dim, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Activations (B, C', H, W) under a style (B, w_dim) and noise (B or 1, 1, H, W)."""
        x = self.conv(x, w, gain=SQRT2)  # the gain commutes with the leaky ReLU
        offset = (self.bias * SQRT2).to(x.dtype).view(1, -1, 1, 1)
        if noise is not None:
            x = x + (noise * (self.noise_strength * SQRT2)).to(x.dtype)
        return F.leaky_relu(x + offset, 0.2)

    def choose_noise(self, batch_size: int, noise: str) -> Tensor | None:
        """The noise map of a mode of ``Noise``."""
        if noise == "none":
            return None
        if noise == "stored":
            return self.noise
        return torch.randn(batch_size, *self.noise.shape[1:], device=self.noise.device)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colours, without demodulation."""

    def __init__(self, in_channels: int, w_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, 3, 1, w_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Colours (B, 3, H, W) in float32 of activations (B, C, H, W)."""
        return self.conv(x, w).float() + self.bias.view(1, -1, 1, 1)


class SynthesisBlock(nn.Module):
    """The layers of one resolution: two styled convolutions (one at 4x4) and the colours.

    ``in_channels`` are those of the resolution below, None at 4x4.
    """

    def __init__(
        self, in_channels: int | None, out_channels: int, resolution: int, w_dim: int
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.convs = nn.ModuleList()
        if in_channels is not None:
            self.convs.append(StyledConv(in_channels, out_channels, resolution, w_dim, up=True))
        self.convs.append(StyledConv(out_channels, out_channels, resolution, w_dim))
        self.to_rgb = ToRGB(out_channels, w_dim)

    def forward(self, x: Tensor, w_plus: Tensor, noise: Sequence[Tensor | None]) -> Tensor:
        """Activations (B, C', H, W) under a style and a noise map for each convolution."""
        for conv, w, noise_map in zip(self.convs, w_plus.unbind(1), noise, strict=True):
            x = conv(x, w, noise_map)
        return x


class SynthesisNetwork(nn.Module):
    """Draws images from styles, one for each layer; its arguments are ``StyleGAN2Generator``'s.

    Counted from 4x4 with i = 0, the block i takes styles 2i - 1 and 2i for its convolutions (4x4
    has only the second) and 2i + 1 for its colours, which it shares with the next block. So there
    are ``2 log2(image_size) - 2`` styles.
    """

    def __init__(
        self,
        image_size: int = 256,
        w_dim: int = 512,
        channel_base: int = 32768,
        channel_max: int = 512,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.resolutions = resolutions_of(image_size)
        self.num_ws = 2 * len(self.resolutions)
        widths = [channels_at(r, channel_base, channel_max) for r in self.resolutions]
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.blocks = nn.ModuleList(
            SynthesisBlock(widths[i - 1] if i else None, widths[i], resolution, w_dim)
            for i, resolution in enumerate(self.resolutions)
        )

    def forward(self, w_plus: Tensor, noise: Noise = "stored", hold: Hold | None = None) -> Tensor:
        """Draw images.

        Args:
            w_plus: Latents (B, num_ws, w_dim).
            noise: See ``Noise``.
            hold: What stays as in other images (see ``hold``).

        Returns:
            Images (B, 3, image_size, image_size), nominally in [-1, 1], float32.
        """
        return self._run(w_plus, noise, hold=hold)[0]

    def features(
        self,
        w_plus: Tensor,
        resolution: int,
        noise: Noise = "stored",
        hold: Hold | None = None,
    ) -> Tensor:
        """Activations (B, C, resolution, resolution) after the last convolution of a resolution.

        Nothing above it is computed, and latents of higher layers may be missing.
        """
        return self._run(w_plus, noise, [resolution], draw=False, hold=hold)[1][0]

    def features_at(
        self, w_plus: Tensor, resolutions: Sequence[int], noise: Noise = "stored"
    ) -> list[Tensor]:
        """Activations as of ``features`` at several resolutions, from one pass."""
        if not resolutions:
            raise ValueError("resolutions is empty; name at least one, such as 64.")
        return self._run(w_plus, noise, resolutions, draw=False)[1]

    def image_and_features(
        self,
        w_plus: Tensor,
        resolution: int,
        noise: Noise = "stored",
        hold: Hold | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Images as of ``forward`` and activations as of ``features``, from one pass."""
        image, features = self._run(w_plus, noise, [resolution], hold=hold)
        return image, features[0]

    def hold(
        self, w_plus: Tensor, region: Tensor, resolution: int, below: Hold | None = None
    ) -> Hold:
        """What keeps images outside of a region as they are.

        Images that are drawn with it show these latents outside of the region: activations and
        colours are blended at one resolution. Above it, the latents must be the same.

        Args:
            w_plus: Latents (B, num_ws, w_dim), to be drawn with the stored noise.
            region: What may change (B, 1, H, W), 1 inside.
            resolution: Where to blend.
            below: What these images hold themselves.
        """
        last = self._block_at(resolution)
        image, features = self._run(w_plus, "stored", [resolution], hold=below, last=last)
        region = F.interpolate(region.float(), (resolution, resolution), mode="area")
        return Hold(region, features[0], image)

    def stored_noise(self) -> list[Tensor]:
        """The noise maps (1, 1, H, W) stored with the weights, from 4x4 upwards."""
        return [conv.noise for conv in self._convs()]

    def num_channels(self, resolution: int) -> int:
        """Number of channels of the features at a resolution."""
        block: Any = self.blocks[self._block_at(resolution)]
        return block.to_rgb.conv.weight.shape[1]

    def num_feature_ws(self, resolution: int) -> int:
        """Number of first latents on which the features at a resolution depend."""
        return 2 * self._block_at(resolution) + 1

    def _convs(self) -> list[StyledConv]:
        return [module for module in self.blocks.modules() if isinstance(module, StyledConv)]

    def _block_at(self, resolution: int) -> int:
        if resolution not in self.resolutions:
            raise ValueError(
                f"A generator of {self.image_size}x{self.image_size} images has features at "
                f"{', '.join(map(str, self.resolutions))}, not at {resolution}."
            )
        return self.resolutions.index(resolution)

    def _run(
        self,
        w_plus: Tensor,
        noise: Noise,
        taps: Sequence[int] = (),
        draw: bool = True,
        hold: Hold | None = None,
        last: int | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """The image and the activations at some resolutions; without an image, up to the highest.

        Without a requested image the first value is meaningless; with ``last`` it is that so far.
        """
        highest = max([0, *map(self._block_at, taps)])  # a default breaks the compiled graph
        if last is None:
            last = len(self.blocks) - 1 if draw else highest
        self._check_latents(w_plus, 2 * last + (2 if draw else 1))
        noise_maps = self._noise_maps(len(w_plus), noise, 2 * last + 1)
        x = self.constant.expand(len(w_plus), -1, -1, -1)
        image = torch.zeros((), device=x.device)
        features: dict[int, Tensor] = {}
        block: Any  # a SynthesisBlock; lists of modules do not say of what
        for i, block in enumerate(self.blocks[: last + 1]):
            first = max(2 * i - 1, 0)
            x = block(x, w_plus[:, first : 2 * i + 1], noise_maps[first : 2 * i + 1])
            if draw:
                image = upsample(image) if i else image
                image = image + block.to_rgb(x, w_plus[:, 2 * i + 1])
            if hold is not None and x.shape[-1] == hold.region.shape[-1]:
                x = torch.lerp(hold.features, x, hold.region)
                image = torch.lerp(hold.image, image, hold.region) if draw else image
            if block.resolution in taps:
                features[block.resolution] = x
        return image, [features[tap] for tap in taps]

    def _check_latents(self, w_plus: Tensor, needed: int) -> None:
        if w_plus.ndim != 3 or not needed <= w_plus.shape[1] <= self.num_ws:
            raise ValueError(
                f"w_plus must have shape (B, {needed}, w_dim), a latent for each layer, got "
                f"{tuple(w_plus.shape)}; repeat a single one by expand."
            )

    def _noise_maps(self, batch_size: int, noise: Noise, needed: int) -> Sequence[Tensor | None]:
        convs = self._convs()
        if isinstance(noise, str):
            return [conv.choose_noise(batch_size, noise) for conv in convs[:needed]]
        if len(noise) != len(convs):
            raise ValueError(
                f"noise must have a map for each of the {len(convs)} convolutions, from 4x4 "
                f"upwards, got {len(noise)}."
            )
        return noise


class StyleGAN2Generator(nn.Module):
    """Mapping and synthesis networks with the mean latent that truncation needs.

    The defaults are config-f of the paper, for images of 512x512 to 1024x1024.

    Args:
        image_size: Height and width, a power of two from 16 to 1024.
        z_dim: Length of z.
        w_dim: Length of w.
        mapping_layers: Linear layers of the mapping network.
        channel_base: Channels times resolution, where ``channel_max`` does not limit them.
        channel_max: Maximum channels of a layer.
        mapping_lr_multiplier: Factor of the mapping network's learning rate.
    """

    mean_latent: Tensor

    def __init__(
        self,
        image_size: int = 256,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        mapping_lr_multiplier: float = 0.01,
    ) -> None:
        super().__init__()
        self.z_dim, self.w_dim, self.image_size = z_dim, w_dim, image_size
        self.mapping = MappingNetwork(z_dim, w_dim, mapping_layers, mapping_lr_multiplier)
        self.synthesis = SynthesisNetwork(image_size, w_dim, channel_base, channel_max)
        self.num_ws = self.synthesis.num_ws
        self.register_buffer("mean_latent", torch.zeros(w_dim))

    def forward(self, z: Tensor, truncation: float = 1.0, noise: Noise = "stored") -> Tensor:
        """Draw images (B, 3, H, W), nominally in [-1, 1], from Gaussian latents (B, z_dim)."""
        return self.synthesis(self.repeat(self.truncate(self.mapping(z), truncation)), noise)

    def truncate(self, w: Tensor, truncation: float) -> Tensor:
        """Move latents (..., w_dim) towards their mean: 1 leaves them, 0 gives the mean."""
        if truncation == 1:
            return w
        return self.mean_latent + truncation * (w - self.mean_latent)

    def repeat(self, w: Tensor) -> Tensor:
        """The same latent (B, w_dim) for each layer: (B, num_ws, w_dim)."""
        return w[:, None].expand(-1, self.num_ws, -1)

    @torch.no_grad()
    def estimate_mean_latent(self, num_samples: int = 10_000) -> None:
        """Set the mean latent to the mean over fixed samples."""
        total = torch.zeros_like(self.mean_latent, dtype=torch.float64)
        seeds = torch.arange(num_samples, device=total.device)
        for seed in seeds.split(1000):
            total += self.mapping(seeded_normal(seed, self.z_dim)).double().sum(0)
        self.mean_latent.copy_(total / num_samples)


def mix_styles(w_a: Tensor, w_b: Tensor, first: Tensor) -> Tensor:
    """Latents (B, num_ws, w_dim) of one sample, those from layer ``first`` (B,) of another."""
    layer = torch.arange(w_a.shape[1], device=w_a.device)
    return torch.where((layer < first[:, None])[..., None], w_a, w_b)
