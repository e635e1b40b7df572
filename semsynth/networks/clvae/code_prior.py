"""A prior of local codes conditioned on the global code.

The paper samples classes and levels independently, so that light can disagree between classes, as
in its failure of a sunset sky over a neutral road. Here mean and variance of each local code depend
on the shared global code. The prior is initialised to N(0, 1).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.spade import LEAK


class CodePrior(nn.Module):
    """Gaussian of local codes of shape (L, K, N), given the global code.

    Each row of each level has its own gate on the global code, and the rows of a level share the
    following layers, so that many classes are cheap.
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
