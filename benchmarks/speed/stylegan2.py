"""StyleGAN2 against two usual forms of its layers that need no compiled extension either.

*Grouped* gives each sample weights of its own, in one convolution with a group for each sample.
*Reshaped* filters with [1, 3, 3, 1] as if each channel were an image. Steps are timed without the
lazy regularisation.
"""

import copy
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.speed.compare import Comparison, precision
from semsynth.losses.losses import nonsaturating_loss_d, nonsaturating_loss_g
from semsynth.methods import StyleGAN2
from semsynth.networks.stylegan2.layers import EqualisedConv2d, ModulatedConv2d, blur, leaky_relu

TOY = {"z_dim": 128, "w_dim": 128, "mapping_layers": 4, "channel_base": 2048, "channel_max": 128}
SIZES = {"toy64": (64, 16, TOY), "slim256": (256, 4, {"channel_base": 16384})}
"""Image size, batch size, and what else ``StyleGAN2`` is built with."""


def passes_and_steps(device: str, variant: str) -> Iterator[Comparison]:
    """A forward pass and a training step of each size in all forms."""
    for name, (size, batch_size, arguments) in SIZES.items():
        method = build(size, device, **arguments)
        z = torch.randn(batch_size, method.generator.z_dim, device=device)
        real = torch.rand(batch_size, 3, size, size, device=device) * 2 - 1
        pairs = {form: Pair(method, form, variant) for form in FORMS}
        title = f"{name}, batch {batch_size}"
        forms = {form: partial(pair.forward, z) for form, pair in pairs.items()}
        yield Comparison(f"forward, {title}", forms)
        forms = {form: partial(pair.step, z, real) for form, pair in pairs.items()}
        yield Comparison(f"step, {title}", forms)  # differs by TF32 and signs in Adam's first step


class GroupedConv(ModulatedConv2d):
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


class ReshapedConv(ModulatedConv2d):
    """Modulated convolution with the reshaped blur."""

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """What ``ModulatedConv2d.convolve`` does."""
        if not self.up:
            return super().convolve(x, weight)
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return reshaped_blur(x, 1, gain=4.0)


class ReshapedHalving(EqualisedConv2d):
    """Equalised convolution with the reshaped blur."""

    def forward(self, x: Tensor) -> Tensor:
        """What ``EqualisedConv2d.forward`` does."""
        if not self.down:
            return super().forward(x)
        weight, k = self.weight * self.weight_gain, self.weight.shape[-1]
        if k == 1:
            x = F.conv2d(reshaped_blur(x, 1, stride=2), weight)
        else:
            x = F.conv2d(reshaped_blur(x, (k + 1) // 2), weight, stride=2)
        return x if self.bias is None else leaky_relu(x + self.bias.to(x.dtype).view(1, -1, 1, 1))


FORMS: dict[str, dict[type[nn.Module], type[nn.Module]]] = {
    "ours": {},
    "grouped": {ModulatedConv2d: GroupedConv},
    "reshaped": {ModulatedConv2d: ReshapedConv, EqualisedConv2d: ReshapedHalving},
}


class Pair:
    """Copies of both networks in a form of ``FORMS``, with their optimizers."""

    def __init__(self, method: StyleGAN2, form: str, variant: str) -> None:
        twin = in_form(method, form)
        self.generator, self.discriminator = twin.generator, twin.discriminator
        networks = (twin.generator, twin.discriminator)
        self.optimizers = [torch.optim.Adam(n.parameters(), 1e-3, fused=True) for n in networks]
        if "compile" in variant:
            for network in networks:
                network.compile()
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


def in_form(method: StyleGAN2, form: str) -> StyleGAN2:
    """A copy whose layers run in another form."""
    twin = copy.deepcopy(method)
    for module in twin.modules():
        module.__class__ = FORMS[form].get(type(module), type(module))
    return twin


def build(image_size: int, device: str, **arguments: int) -> StyleGAN2:
    """Generator and discriminator, as they are trained."""
    method = StyleGAN2((image_size, image_size), **arguments)  # type: ignore[arg-type]
    return method.to(device).to(memory_format=torch.channels_last)
