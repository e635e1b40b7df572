import torch
import torch.nn.functional as F

from semsynth.networks.clvae.spade import SPADE


def test_spade_equals_its_formula_pixel_by_pixel() -> None:
    spade = SPADE(2, 3, hidden_channels=4)
    x, layout = torch.randn(2, 2, 4, 4), torch.rand(2, 3, 8, 8)
    hidden = F.relu(spade.shared[0](layout[:, :, ::2, ::2]))
    gamma, beta = spade.gamma(hidden), spade.beta(hidden)
    expected = torch.empty_like(x)
    for c in range(2):
        mean, var = x[:, c].mean(), x[:, c].var(correction=0)
        expected[:, c] = (x[:, c] - mean) / (var + 1e-5).sqrt() * (1 + gamma[:, c]) + beta[:, c]
    torch.testing.assert_close(spade(x, layout), expected)
