"""Layers of StyleGAN2 (Karras et al., CVPR 2020, https://arxiv.org/abs/1912.04958), in native ops.

No layer needs a compiled extension, and all are twice differentiable, as R1 and the path length
need. Convolutions run in the precision of autocast; styles, demodulation and colours stay in
float32.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times the square root of 2 to keep the variance."""
    return F.leaky_relu(x, 0.2) * SQRT2


class EqualisedLinear(nn.Module):
    """Linear layer whose weights are scaled at run time (Karras et al., ICLR 2018).

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        bias: Initial value of the bias.
        lr_multiplier: Factor of the learning rate; parameters are stored divided by it.
    """

    def __init__(
        self, in_channels: int, out_channels: int, bias: float = 0.0, lr_multiplier: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_channels,), bias / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_channels)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis of ``x``."""
        return F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)


class EqualisedConv2d(nn.Module):
    """Convolution whose weights are scaled at run time, with optional downsampling.

    Downsampling filters with [1, 3, 3, 1] and uses the convolution's stride. Without ``activate``
    the layer has neither bias nor leaky ReLU.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        down: bool = False,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if activate else None
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B, C', H, W), or half of that."""
        # The activation's gain is folded into the weights.
        gain = self.weight_gain * (1 if self.bias is None else SQRT2)
        weight = self.weight * gain
        kernel_size = weight.shape[-1]
        if self.down and kernel_size == 1:
            x = F.conv2d(halve(x), weight)
        elif self.down:
            x = F.conv2d(blur(x, (kernel_size + 1) // 2), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=kernel_size // 2)
        if self.bias is None:
            return x
        bias = (self.bias * SQRT2).to(x.dtype).view(1, -1, 1, 1)
        return F.leaky_relu(x + bias, 0.2)


class ModulatedConv2d(nn.Module):
    """Convolution whose weights a style scales, by default normalised again ("demodulated").

    A batch scales its activations by the style, before and after a shared convolution, which equals
    a convolution with separate weights for each sample. A single sample without gradients scales
    the weights instead, which are smaller than its activations. ``up`` doubles height and width.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        w_dim: int,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.affine = EqualisedLinear(w_dim, in_channels, bias=1.0)
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.demodulate = demodulate
        self.up = up

    def forward(self, x: Tensor, w: Tensor, gain: float = 1.0) -> Tensor:
        """Filter activations (B, C, H, W) under latents (B, w_dim), times a gain."""
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine(w.float()) * self.weight_gain  # (B, C)
            scale = self.output_scale(style) * gain  # (B, C')
        if len(x) == 1 and not torch.is_grad_enabled():
            weight = self.weight * style.view(1, -1, 1, 1) * scale.view(-1, 1, 1, 1)
            return self.convolve(x, weight)
        x = self.convolve(x * style[:, :, None, None].to(x.dtype), self.weight)
        return x * scale[:, :, None, None].to(x.dtype)

    def output_scale(self, style: Tensor) -> Tensor:
        """Demodulation (B, C') of a style (B, C): one over the norm of the scaled weights."""
        if not self.demodulate:
            return style.new_ones(len(style), len(self.weight))
        energy = self.weight.square().sum((2, 3))  # (C', C)
        return (style.square() @ energy.t() + 1e-8).rsqrt()

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve, doubling height and width where the layer does."""
        if not self.up:
            return F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # (B, C', 2H + 1, 2W + 1)
        return blur(x, 1, gain=4.0)


def fir_kernel(x: Tensor, gain: float = 1.0) -> Tensor:
    """The filter [1, 3, 3, 1] in both directions, for each channel of ``x``: (C, 1, 4, 4)."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device)
    kernel = (taps[:, None] * taps * (gain / 64)).to(x.dtype)
    return kernel.expand(x.shape[1], 1, 4, 4)


def blur(x: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """Filter images (B, C, H, W) with [1, 3, 3, 1] after padding all sides with zeros."""
    return F.conv2d(x, fir_kernel(x, gain), padding=padding, groups=x.shape[1])


def halve(x: Tensor) -> Tensor:
    """Every other pixel of images (B, C, H, W) filtered with [1, 3, 3, 1].

    Computed as [1, 2, 1] and then [1, 1] / 2, because the gradient of a strided depthwise
    convolution takes a third of a training step on CPUs.
    """
    taps = torch.tensor([1.0, 2.0, 1.0], device=x.device)
    kernel = (taps[:, None] * taps / 16).to(x.dtype).expand(x.shape[1], 1, 3, 3)
    return F.avg_pool2d(F.conv2d(x, kernel, padding=1, groups=x.shape[1]), 2)


def upsample(image: Tensor) -> Tensor:
    """Upsample images (B, C, H, W) by two with [1, 3, 3, 1], in their precision."""
    with torch.autocast(image.device.type, enabled=False):
        kernel = fir_kernel(image, gain=4.0)
        groups = image.shape[1]
        return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=groups)
