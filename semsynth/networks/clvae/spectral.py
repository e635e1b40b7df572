"""Spectrally normalised convolutions, and their initialisation."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm


class SpectralNorm(_SpectralNorm):
    """Torch's spectral normalisation with a product instead of a quotient.

    The backward pass of a quotient makes four times as many passes over the weights, which at small
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


@torch.no_grad()
def initialise(module: nn.Module, mode: Literal["upstream_gpu", "xavier"]) -> None:
    """Initialise convolutions and linear layers in place, but not embeddings.

    SPADE and CLVAE nominally use Xavier with gain 0.02 everywhere. Their released code moves the
    networks to the GPU first, after which the initialisation misses the weights under spectral
    normalisation, which start from PyTorch's default: "upstream_gpu".
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
    """Reinitialise a weight under spectral normalisation and its singular vectors."""
    weights = layer.get_submodule("parametrizations.weight")
    nn.init.xavier_normal_(weights.get_parameter("original"), gain=0.02)
    for _ in range(15):
        _ = layer.weight  # in training mode each read is one power iteration
