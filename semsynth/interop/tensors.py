"""Official tensors to ours: names by rules, every tensor accounted for, and exact copies.

Rules are patterns in our names with their replacements in the official ones, applied in order.
A file with unknown or missing tensors is refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semsynth.interop.checkpoints import CheckpointError
from semsynth.networks.stylegan2.layers import fir_kernel

Network = TypeVar("Network", bound=nn.Module)
State = dict[str, Tensor]
Rules = Sequence[tuple[str, str]]


def official_name(key: str, rules: Rules) -> str:
    """The official name of a tensor of ours."""
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def names_of(kind: type[nn.Module], **arguments: Any) -> list[str]:
    """Names of the tensors of a network of ours."""
    with torch.device("meta"):
        return list(kind(**arguments).state_dict())


def rename(
    state: State, ours: Iterable[str], rules: Rules, what: str, filters: Mapping[str, float] = {}
) -> State:
    """The tensors of an official network by our names, none of which may be missing or unknown.

    ``what`` names the network in messages; ``filters`` has the gain of each required FIR filter,
    which must be [1, 3, 3, 1].
    """
    names = {key: official_name(key, rules) for key in ours}
    needed = {*names.values(), *filters}
    for how, keys in (("lacks", needed - state.keys()), ("has unknown", state.keys() - needed)):
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            listed = ", ".join(sorted(keys)[:5])
            raise CheckpointError(f"its {what} {how} tensors: {listed}{more}")
    for key, gain in filters.items():
        expected = fir_kernel(torch.zeros(1, 1), gain)[0, 0]
        if state[key].shape != expected.shape or not torch.allclose(state[key].float(), expected):
            raise CheckpointError(
                f"{key} is not the filter [1, 3, 3, 1], the only supported filter"
            )
    return {key: state[official] for key, official in names.items()}


def fitted(network: nn.Module, state: State, rules: Rules) -> State:
    """Copies of renamed tensors in the shapes of a network, but for axes of length 1."""
    copies = {}
    for key, ours in network.state_dict().items():
        tensor, name = state[key].to(ours.dtype), official_name(key, rules)
        if [n for n in tensor.shape if n != 1] != [n for n in ours.shape if n != 1]:
            raise CheckpointError(
                f"{name} has shape {tuple(tensor.shape)}, where the other layers require "
                f"{tuple(ours.shape)}"
            )
        if not tensor.isfinite().all():
            raise CheckpointError(f"{name} has NaN or infinite values")
        copies[key] = tensor.reshape(ours.shape).clone()
    return copies


def load_strictly(
    kind: type[Network], arguments: dict[str, Any], state: State, rules: Rules
) -> Network:
    """A network with copies of renamed tensors, as of ``fitted``."""
    with torch.device("meta"):  # no memory and no random numbers
        network = kind(**arguments)
    network.load_state_dict(fitted(network, state, rules), assign=True)
    return network


def shape_of(state: State, key: str, ndim: int) -> tuple[int, ...]:
    """Shape of a required tensor with a given number of axes."""
    if key not in state:
        raise CheckpointError(f"it lacks tensors: {key}")
    if state[key].ndim != ndim:
        raise CheckpointError(f"{key} has shape {tuple(state[key].shape)}, expected {ndim} axes")
    return tuple(state[key].shape)


def count(state: State, prefix: str) -> int:
    """How many layers are numbered after a prefix."""
    return len({k.removeprefix(prefix).split(".")[0] for k in state if k.startswith(prefix)})
