import warnings
from pathlib import Path

import lpips
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.metrics.perceptual import Trunk, Version

NUM_CLASSES = 8


@pytest.fixture
def toy_assets(tmp_path: Path, toy_segmenter: None) -> Path:
    """The folder of shipped weights, which holds small random segmenters."""
    return tmp_path


class Colours(nn.Module):
    """Three classes, which are the colours; at half the size."""

    def forward(self, image: Tensor) -> Tensor:
        return F.avg_pool2d(image, 2)


@pytest.fixture
def colours(tmp_path: Path) -> str:
    """A TorchScript file of ``Colours``."""
    torch.jit.trace(Colours(), torch.zeros(1, 3, 8, 8)).save(tmp_path / "colours.pt")
    return f"torchscript:{tmp_path / 'colours.pt'}"


TRUNKS: dict[Trunk, str] = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}


@pytest.fixture
def no_initialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large networks are built at once, their weights left for ``randomise``."""
    for name in ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


def randomise(network: nn.Module) -> nn.Module:
    """Give a network weights that are random, small, and the same each time."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in network.parameters():
            fan_in = max(1, p[0].numel())
            p.copy_(torch.empty_like(p).uniform_(-1, 1, generator=generator) * (2 / fan_in) ** 0.5)
    return network


@pytest.fixture
def random_trunks(weights_folder: Path, no_initialisation: None) -> Path:
    """Random numbers in the place of the trunks of LPIPS; those of ``reference_lpips``."""
    for trunk, file in TRUNKS.items():
        # torchvision's files hold the classifier too
        state = {"classifier.0.weight": torch.zeros(1)}
        for key, value in reference_lpips(trunk).net.state_dict().items():
            state[key.replace(key.split(".")[0], "features")] = value
        torch.save(state, weights_folder / file)
    return weights_folder


def reference_lpips(trunk: Trunk, version: Version = "0.1") -> lpips.LPIPS:
    """The package's own LPIPS with a random trunk; call it under ``no_initialisation``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision the old way
        network = lpips.LPIPS(net=trunk, version=version, pnet_rand=True, verbose=False)
    randomise(network.net)
    return network
