"""A prior of local codes that knows the global code.

The paper draws classes and levels independently, so that light can disagree between classes: its
own failure is a sunset sky over a neutral road. Here the mean and the variance of each local code
depend on the global code, which all of them share. The prior begins as N(0, 1).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.spade import LEAK


class CodePrior(nn.Module):
    """Gaussian of local codes of shape (L, K, N), given the global code.

    Each row of each level reads the global code through a gate of its own, and the rows of a level
    share what follows, so that many classes cost little.
    """

    def __init__(self, z_dim: int, code_shape: tuple[int, int, int], hidden_dim: int = 128) -> None:
        super().__init__()
        L, K, N = code_shape
        self.read = nn.Linear(z_dim, hidden_dim)
        self.gate = nn.Parameter(torch.randn(L, K, hidden_dim))
        self.write = nn.Parameter(torch.zeros(L, hidden_dim, 2 * N))

    def forward(self, z_global: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances (B, L, K, N), float32, from global codes (B, z_dim)."""
        hidden = F.leaky_relu(self.read(z_global), LEAK)[:, None, None] * self.gate
        mu, logvar = torch.einsum("blkh,lhn->blkn", hidden, self.write).float().chunk(2, -1)
        return mu, logvar
