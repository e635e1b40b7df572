"""Estimators of motion by name, with the weights that they need."""

from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models.optical_flow import Raft_Large_Weights, Raft_Small_Weights

from semsynth import weights
from semsynth.networks.motion.dis import DISMotion
from semsynth.networks.motion.geometry import MotionEstimator
from semsynth.networks.motion.raft import RAFT, RAFTMotion
from semsynth.networks.motion.torchvision_raft import TorchvisionRAFT
from semsynth.networks.motion.upstream_input import UpstreamInput


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

    Raises:
        MissingWeightsError: There are no such weights; the message says how to get them.
        ValueError: The input of an estimator that is no network cannot be changed so.
    """
    if upstream_input:
        estimator = load_motion_estimator(name)
        if not isinstance(estimator, nn.Module):
            raise ValueError(
                f"upstream_input shifts the second image out of [-1, 1], where {name} sees nothing;"
                " choose a network, such as toy_flow."
            )
        return UpstreamInput(estimator)
    if name == "dis":
        return DISMotion()
    if name == "raft_small":
        return _torchvision_raft("small", Raft_Small_Weights.DEFAULT.url)
    if name == "raft_large":
        return _torchvision_raft("large", Raft_Large_Weights.DEFAULT.url)
    return _own_raft(name)


def _own_raft(name: str) -> RAFTMotion:
    shipped = weights.ASSETS / f"{name}.safetensors"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise weights.MissingWeightsError(
            f"No estimator of motion is called {name!r}, and there is no file {path} with a card "
            f"{path.with_suffix('.json').name} beside it. There are dis, toy_flow, raft_small and "
            "raft_large."
        )
    card = weights.read_card(path)
    with weights.as_described(path), torch.random.fork_rng(devices=[]):  # random numbers stay
        network = RAFT(**card["network"])
        network.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return RAFTMotion(network).eval().requires_grad_(False)


def _torchvision_raft(size: Literal["small", "large"], address: str) -> TorchvisionRAFT:
    file = address.rsplit("/", 1)[-1]
    directories = weights.search_directories()
    path = next((d / file for d in directories if (d / file).is_file()), None)
    if path is None:
        raise weights.MissingWeightsError(
            f"raft_{size} needs {file}, which is in none of {', '.join(map(str, directories))}. "
            f"Fetch it with\n  curl --create-dirs -Lo {directories[0] / file} {address}\n"
            "or do without it: choose toy_flow or dis."
        )
    with torch.random.fork_rng(devices=[]):
        estimator = TorchvisionRAFT(size)
    estimator.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return estimator.eval().requires_grad_(False)
