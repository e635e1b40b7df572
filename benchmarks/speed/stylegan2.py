"""StyleGAN2 against two usual forms of its layers that need no compiled extension either.

*Grouped* gives each sample weights of its own, in one convolution with a group for each sample.
*Reshaped* filters with [1, 3, 3, 1] as if each channel were an image. All forms hold the same
weights. Timed are the generator's forward pass, and a training step of both networks without the
lazy regularisation.
"""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.compare import Comparison, Setting, precision
from semsynth.losses.losses import nonsaturating_loss_d, nonsaturating_loss_g
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.networks.stylegan2.layers import SQRT2, EqualisedConv2d, ModulatedConv2d, blur


class Size(NamedTuple):
    """A generator and discriminator, and the batch that they are trained with."""

    image_size: int
    latent_dim: int
    mapping_layers: int
    channel_base: int
    channel_max: int
    batch_size: int


SIZES = {
    "toy64": Size(64, 128, 4, 2048, 128, 16),
    "slim256": Size(256, 512, 8, 16384, 512, 4),
}


def passes_and_steps(setting: Setting) -> Iterator[Comparison]:
    """A forward pass and a training step of each size in all forms."""
    for name, size in SIZES.items():
        for variant in setting.variants:
            torch.compiler.reset()  # beyond its limit torch runs eagerly, silently
            networks = build(size, setting.device)
            shape = (size.batch_size, 3, size.image_size, size.image_size)
            z = torch.randn(size.batch_size, size.latent_dim, device=setting.device)
            real = torch.rand(shape, device=setting.device) * 2 - 1
            pairs = {form: Pair(networks, form, variant) for form in FORMS}
            tolerance = 0.1 if "bf16" in variant else 0.01  # TF32, signs in Adam's first step
            title = f"{name}, batch {size.batch_size}, {variant}"
            forms = {form: partial(pair.forward, z) for form, pair in pairs.items()}
            yield Comparison(f"forward, {title}", forms, tolerance)
            forms = {form: partial(pair.step, z, real) for form, pair in pairs.items()}
            yield Comparison(f"step, {title}", forms, tolerance)


class GroupedModulatedConv2d(ModulatedConv2d):
    """Modulated convolution with weights for each sample."""

    def forward(self, x: Tensor, w: Tensor, gain: float = 1.0) -> Tensor:
        """What ``ModulatedConv2d.forward`` does."""
        B, C, H, W = x.shape
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine(w.float()) * self.weight_gain
            weight = self.weight * style[:, None, :, None, None]  # (B, C', C, k, k)
            if self.demodulate:
                energy = weight.square().sum((2, 3, 4), keepdim=True)
                weight = weight * (energy + 1e-8).rsqrt()
            weight = weight * gain
        k = weight.shape[-1]
        x = x.reshape(1, B * C, H, W)
        if self.up:
            weight = weight.transpose(1, 2).flatten(0, 1)
            x = F.conv_transpose2d(x, weight, stride=2, groups=B)
            return blur(x.view(B, -1, *x.shape[2:]), 1, gain=4.0)
        x = F.conv2d(x, weight.flatten(0, 1), padding=k // 2, groups=B)
        return x.view(B, -1, H, W)


def reshaped_blur(x: Tensor, padding: int, gain: float = 1.0, stride: int = 1) -> Tensor:
    """What ``blur`` does, on images (B C, 1, H, W)."""
    B, C, H, W = x.shape
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device)
    kernel = (taps[:, None] * taps * (gain / 64)).to(x.dtype)
    y = F.conv2d(x.reshape(B * C, 1, H, W), kernel[None, None], stride=stride, padding=padding)
    return y.view(B, C, *y.shape[2:])


class ReshapedModulatedConv2d(ModulatedConv2d):
    """Modulated convolution with the reshaped blur."""

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """What ``ModulatedConv2d.convolve`` does."""
        if not self.up:
            return super().convolve(x, weight)
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return reshaped_blur(x, 1, gain=4.0)


class ReshapedEqualisedConv2d(EqualisedConv2d):
    """Equalised convolution with the reshaped blur."""

    def forward(self, x: Tensor) -> Tensor:
        """What ``EqualisedConv2d.forward`` does."""
        if not self.down:
            return super().forward(x)
        gain = self.weight_gain * (1 if self.bias is None else SQRT2)
        k = self.weight.shape[-1]
        if k == 1:
            x = F.conv2d(reshaped_blur(x, 1, stride=2), self.weight * gain)
        else:
            x = F.conv2d(reshaped_blur(x, (k + 1) // 2), self.weight * gain, stride=2)
        if self.bias is None:
            return x
        return F.leaky_relu(x + (self.bias * SQRT2).to(x.dtype).view(1, -1, 1, 1), 0.2)


FORMS: dict[str, dict[type[nn.Module], type[nn.Module]]] = {
    "ours": {},
    "grouped": {ModulatedConv2d: GroupedModulatedConv2d},
    "reshaped": {
        ModulatedConv2d: ReshapedModulatedConv2d,
        EqualisedConv2d: ReshapedEqualisedConv2d,
    },
}


class Pair:
    """Copies of both networks in a form of ``FORMS``, with their optimizers."""

    def __init__(self, networks: Sequence[nn.Module], form: str, variant: str) -> None:
        twins: list[Any] = [in_form(network, form) for network in networks]
        self.optimizers = [torch.optim.Adam(n.parameters(), 1e-3, fused=True) for n in twins]
        compiled = "compile" in variant
        self.generator, self.discriminator = [torch.compile(t) if compiled else t for t in twins]
        self.variant = variant

    def forward(self, z: Tensor) -> list[Tensor]:
        """Images, without gradients."""
        with torch.no_grad(), precision(z.device.type, self.variant):
            return [self.generator(z)]

    def step(self, z: Tensor, real: Tensor) -> list[Tensor]:
        """One step of each network; returns the losses."""
        with precision(z.device.type, self.variant):
            with torch.no_grad():
                fake = self.generator(z)
            loss_d = nonsaturating_loss_d(self.discriminator(real), self.discriminator(fake))
        self.update(1, loss_d)
        with precision(z.device.type, self.variant):
            loss_g = nonsaturating_loss_g(self.discriminator(self.generator(z)))
        self.update(0, loss_g)
        return [loss_d.detach(), loss_g.detach()]

    def update(self, index: int, loss: Tensor) -> None:
        """Move the weights of a network, and no other."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        self.optimizers[index].step()


def in_form(network: nn.Module, form: str) -> nn.Module:
    """A copy whose layers run in another form."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        module.__class__ = FORMS[form].get(type(module), type(module))
    return twin


def build(size: Size, device: str) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator, as they are trained."""
    widths = (size.channel_base, size.channel_max)
    generator = StyleGAN2Generator(
        size.image_size, size.latent_dim, size.latent_dim, size.mapping_layers, *widths
    )
    discriminator = StyleGAN2Discriminator(size.image_size, *widths)
    options: dict[str, Any] = {"device": device, "memory_format": torch.channels_last}
    return generator.to(**options), discriminator.to(**options)
