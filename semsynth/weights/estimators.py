"""Estimators of motion by name, with their weights."""

from typing import Literal

import torch
from torch import nn
from torchvision.models.optical_flow import Raft_Large_Weights, Raft_Small_Weights

from semsynth import weights
from semsynth.networks.motion.dis import DISMotion
from semsynth.networks.motion.geometry import MotionEstimator
from semsynth.networks.motion.raft import RAFT, RAFTMotion
from semsynth.networks.motion.torchvision_raft import TorchvisionRAFT
from semsynth.networks.motion.upstream_input import UpstreamInput
from semsynth.weights.cards import find_weights, read_card, read_network

TORCHVISION: dict[str, tuple[Literal["small", "large"], str]] = {
    "raft_small": ("small", Raft_Small_Weights.DEFAULT.url),
    "raft_large": ("large", Raft_Large_Weights.DEFAULT.url),
}


def load_motion_estimator(name: str, upstream_input: bool = False) -> MotionEstimator:
    """An estimator of flow, log expansion and validity between two images.

    Args:
        name: ``dis``, which needs no weights; ``toy_flow``, which ships with the package;
            ``raft_small`` or ``raft_large`` with torchvision's weights, which are looked for and
            never downloaded; or the path of a safetensors file of a ``RAFT`` with its card.
        upstream_input: Feed a network as UserControllableLT's released code does
            (see ``UpstreamInput``).

    Returns:
        The estimator, frozen and in eval mode. Move a network to its device with ``to``.
    """
    if upstream_input:
        estimator = load_motion_estimator(name)
        if not isinstance(estimator, nn.Module):
            raise ValueError(
                f"upstream_input shifts the second image out of [-1, 1], which {name} clips;"
                " choose a network, such as toy_flow."
            )
        return UpstreamInput(estimator)
    if name == "dis":
        return DISMotion()
    if name in TORCHVISION:
        return _torchvision_raft(*TORCHVISION[name])
    remedy = " Choose dis, toy_flow, raft_small or raft_large."
    path = find_weights(name, "", "estimator of motion", remedy)
    card = read_card(path, "an estimator of motion", "network")
    return RAFTMotion(read_network(path, RAFT, card["network"])).eval().requires_grad_(False)


def _torchvision_raft(size: Literal["small", "large"], address: str) -> TorchvisionRAFT:
    file = address.rsplit("/", 1)[-1]
    directories = weights.search_directories()
    path = next((d / file for d in directories if (d / file).is_file()), None)
    if path is None:
        raise weights.MissingWeightsError(
            f"raft_{size} needs {file}, which is in none of {', '.join(map(str, directories))}. "
            f"Fetch it with\n  curl --create-dirs -Lo {directories[0] / file} {address}\n"
            "or choose toy_flow or dis."
        )
    with torch.random.fork_rng(devices=[]):
        estimator = TorchvisionRAFT(size)
    estimator.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return estimator.eval().requires_grad_(False)
