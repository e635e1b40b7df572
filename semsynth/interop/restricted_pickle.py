"""Reads the pickled networks of NVIDIA's repositories without executing code in them.

Their modules are pickled with the source code of their classes, which the original reader executes.
Here a module becomes a record of its name and its attributes. A pickle can only name what
``ALLOWED`` lists, none of which calls anything from the file.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor


class RecordedModule(NamedTuple):
    """A pickled module: the name of its class and its attributes."""

    class_name: str
    attributes: Mapping[str, Any]


class RefusedError(pickle.UnpicklingError):
    """A pickle names something that is not allowed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it names {name}, which is not allowed")
        self.name = name


class Inert:
    """Placeholder for an unused value: accepts and drops any arguments and state."""

    __slots__ = ()

    def __new__(cls, *args: object) -> "Inert":
        """Ignore the arguments."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


class Call:
    """A function that a pickle may only call."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self._function(*args)

    def __setstate__(self, state: object) -> None:  # a pickle could replace the function
        raise pickle.UnpicklingError("it sets the state of a function")


def record(meta: Mapping[str, Any]) -> RecordedModule:
    """Replaces the hook that executes ``meta["module_src"]`` and builds the module."""
    if meta["type"] != "class":
        raise pickle.UnpicklingError(f"it has a persistent {meta['type']!r}, not a class")
    return RecordedModule(str(meta["class_name"]), dict(meta["state"]))


def load_storage(content: bytes) -> Tensor:
    """All values of a storage, from its bytes by ``torch.save``."""
    storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError("the bytes of a tensor are not a tensor")
    return torch.empty(0, dtype=storage.dtype).set_(storage)


def rebuild_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    """A copy of a part of a storage as a tensor."""
    if not isinstance(storage, Tensor) or torch.Size(size).numel() > storage.numel():
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    return storage.as_strided(size, stride, offset).clone()  # refuses what lies outside


def keep_tensor(tensor: Tensor, *_: object) -> Tensor:
    """The tensor of a parameter."""
    return tensor


def encode_latin1(text: str, encoding: str) -> bytes:
    """Bytes, which old protocols encode as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r}")
    return text.encode(encoding)


ALLOWED: dict[str, Any] = {
    "torch_utils.persistence._reconstruct_persistent_obj": Call(record),
    "torch._utils._rebuild_tensor": Call(rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": Call(rebuild_tensor),
    "torch._utils._rebuild_parameter": Call(keep_tensor),
    "torch.storage._load_from_bytes": Call(load_storage),
    "_codecs.encode": Call(encode_latin1),
    "collections.OrderedDict": OrderedDict,
    "dnnlib.util.EasyDict": dict,
    "builtins.set": set,
    "__builtin__.set": set,
    "numpy.ndarray": Inert,
    "numpy.dtype": Inert,
    **{f"numpy.{core}.multiarray.scalar": Inert for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": Inert for core in ("core", "_core")},
}


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that knows only ``ALLOWED``."""

    def find_class(self, module: str, name: str) -> Any:
        """The object of a name in the pickle, if allowed."""
        try:
            return ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise RefusedError(f"{module}.{name}") from None


def load(file: BinaryIO) -> Any:
    """Read a pickle of NVIDIA's networks, with a ``RecordedModule`` for each of them.

    On a damaged file the unpickler may raise any exception.
    """
    return RestrictedUnpickler(file).load()


def state_dict(module: RecordedModule, prefix: str = "") -> dict[str, Tensor]:
    """Parameters and buffers of a recorded module and those in it, by their full names."""
    tensors = {}
    for kind in ("_parameters", "_buffers"):
        for name, tensor in module.attributes[kind].items():
            if isinstance(tensor, Tensor):
                tensors[prefix + name] = tensor
    for name, child in children(module).items():
        tensors |= state_dict(child, f"{prefix}{name}.")
    return tensors


def children(module: RecordedModule) -> dict[str, RecordedModule]:
    """Modules directly within a recorded module."""
    found = module.attributes["_modules"].items()
    return {name: child for name, child in found if isinstance(child, RecordedModule)}


def values_of(module: RecordedModule, attribute: str) -> set[Any]:
    """Values that an attribute has in a recorded module and those in it."""
    values = {module.attributes[attribute]} if attribute in module.attributes else set()
    return values.union(*(values_of(child, attribute) for child in children(module).values()))
