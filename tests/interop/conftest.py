"""Official checkpoints of StyleGAN2 with random weights, by the names that their code gives."""

import json
import os
import pickle
import re
import runpy
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.slow_convolution import FILTER

State = dict[str, Tensor]
ROOT = Path(__file__).parents[2]
FIXTURES = Path(os.environ.get("SEMSYNTH_FIXTURES", ROOT.parent / "shared" / "fixtures"))


class Outputs:
    """What an official network made of weights and inputs that a rule regenerates."""

    def __init__(self, name: str) -> None:
        file = FIXTURES / f"{name}.npz"
        if not file.is_file():
            pytest.skip(f"no fixtures in {FIXTURES}; name their folder in SEMSYNTH_FIXTURES")
        self.stored, self.rule = np.load(file), runpy.run_path(str(FIXTURES / "rule.py"))
        self.config, self.keys = (json.loads(str(self.stored[k])) for k in ("config", "keys"))

    def weights(self, keys: Iterable[tuple[str, Any]]) -> State:
        seed = self.config["seed"]
        return {k: torch.from_numpy(self.rule["tensor"](seed, k, shape)) for k, shape in keys}

    def normal(self, name: str, *shape: int) -> Tensor:
        return torch.from_numpy(self.rule["normal"](self.config["seed"], name, shape))


def save(content: Any, directory: Path) -> Path:
    path = directory / "official.pt"
    torch.save(content, path)
    return path


def below(state: State, prefix: str) -> State:
    return {f"{prefix}.{key}": value for key, value in state.items()}


def widths(image_size: int, channel_base: int, channel_max: int) -> dict[int, int]:
    sizes = [4 << i for i in range(image_size.bit_length() - 2)]
    return {r: min(channel_max, channel_base // r) for r in sizes}


def generator_shapes(channels: dict[int, int], w_dim: int, layers: int) -> dict[str, Any]:
    shapes: dict[str, Any] = {}
    for i in range(1, layers + 1):
        shapes |= {f"style.{i}.weight": (w_dim, w_dim), f"style.{i}.bias": (w_dim,)}

    def modulated(name: str, c_in: int, c_out: int, size: int) -> None:
        shapes[f"{name}.conv.weight"] = (1, c_out, c_in, size, size)
        shapes[f"{name}.conv.modulation.weight"] = (c_in, w_dim)
        shapes[f"{name}.conv.modulation.bias"] = (c_in,)

    def styled(name: str, c_in: int, c_out: int, noise: int, r: int) -> None:
        modulated(name, c_in, c_out, 3)
        shapes[f"{name}.noise.weight"], shapes[f"{name}.activate.bias"] = (1,), (c_out,)
        shapes[f"noises.noise_{noise}"] = (1, 1, r, r)

    def to_rgb(name: str, c_in: int) -> None:
        modulated(name, c_in, 3, 1)
        shapes[f"{name}.bias"] = (1, 3, 1, 1)

    shapes["input.input"] = (1, channels[4], 4, 4)
    styled("conv1", channels[4], channels[4], 0, 4)
    to_rgb("to_rgb1", channels[4])
    for i, r in enumerate(list(channels)[1:]):
        styled(f"convs.{2 * i}", channels[r // 2], channels[r], 2 * i + 1, r)
        styled(f"convs.{2 * i + 1}", channels[r], channels[r], 2 * i + 2, r)
        to_rgb(f"to_rgbs.{i}", channels[r])
        shapes[f"convs.{2 * i}.conv.blur.kernel"] = shapes[f"to_rgbs.{i}.upsample.kernel"] = (4, 4)
    return shapes


def discriminator_shapes(channels: dict[int, int]) -> dict[str, Any]:
    sizes = list(channels)[::-1]
    c = channels[sizes[0]]
    shapes: dict[str, Any] = {"convs.0.0.weight": (c, 3, 1, 1), "convs.0.1.bias": (c,)}
    for k, r in enumerate(sizes[:-1], 1):
        c, narrow = channels[r // 2], channels[r]
        shapes |= {
            f"convs.{k}.conv1.0.weight": (narrow, narrow, 3, 3),
            f"convs.{k}.conv1.1.bias": (narrow,),
            f"convs.{k}.conv2.0.kernel": (4, 4),
            f"convs.{k}.conv2.1.weight": (c, narrow, 3, 3),
            f"convs.{k}.conv2.2.bias": (c,),
            f"convs.{k}.skip.0.kernel": (4, 4),
            f"convs.{k}.skip.1.weight": (c, narrow, 1, 1),
        }
    return shapes | {
        "final_conv.0.weight": (c, c + 1, 3, 3),
        "final_conv.1.bias": (c,),
        "final_linear.0.weight": (c, 16 * c),
        "final_linear.0.bias": (c,),
        "final_linear.1.weight": (1, c),
        "final_linear.1.bias": (1,),
    }


def fill(shapes: dict[str, Any], seed: int, filter_gain: float) -> State:
    draw = torch.Generator().manual_seed(seed)
    state = {key: torch.randn(shape, generator=draw) for key, shape in shapes.items()}
    for key in state:
        if key.startswith("style.") and key.endswith("weight"):
            state[key] *= 100  # they are divided by the learning rate multiplier
        elif key.endswith("kernel"):
            state[key] = FILTER * filter_gain
    return state


def rosinality_checkpoint(
    seed: int = 0,
    image_size: int = 32,
    channel_base: int = 256,
    channel_max: int = 16,
    w_dim: int = 16,
    layers: int = 3,
) -> dict[str, Any]:
    """``{g_ema, d, latent_avg}`` of rosinality's code."""
    channels = widths(image_size, channel_base, channel_max)
    return {
        "g_ema": fill(generator_shapes(channels, w_dim, layers), seed, 4.0),
        "d": fill(discriminator_shapes(channels), seed + 1000, 1.0),
        "latent_avg": torch.randn(w_dim, generator=torch.Generator().manual_seed(seed)),
    }


def nvidia_generator(g_ema: State, latent_avg: Tensor) -> State:
    """The same weights by NVIDIA's names and shapes, of which rosinality's are known copies."""
    state = {"mapping.w_avg": latent_avg, "synthesis.b4.const": g_ema["input.input"][0]}
    for key, value in g_ema.items():
        if found := re.match(r"style\.(\d+)\.(\w+)", key):
            state[f"mapping.fc{int(found[1]) - 1}.{found[2]}"] = value
        layer = key.split(".conv.")[0].split(".noise.")[0].split(".activate.")[0]
        layer = layer.removesuffix(".bias")
        if layer == "conv1":
            theirs, noise = "synthesis.b4.conv1", 0
        elif layer == "to_rgb1":
            theirs, noise = "synthesis.b4.torgb", -1
        elif found := re.fullmatch(r"convs\.(\d+)", layer):
            i = int(found[1])
            theirs, noise = f"synthesis.b{8 << i // 2}.conv{i % 2}", i + 1
        elif found := re.fullmatch(r"to_rgbs\.(\d+)", layer):
            theirs, noise = f"synthesis.b{8 << int(found[1])}.torgb", -1
        else:
            continue
        state[f"{theirs}.weight"] = g_ema[f"{layer}.conv.weight"][0]
        for leaf in ("weight", "bias"):
            state[f"{theirs}.affine.{leaf}"] = g_ema[f"{layer}.conv.modulation.{leaf}"]
        block = theirs.rsplit(".", 1)[0]
        state[f"{block}.resample_filter"] = FILTER
        if noise < 0:
            state[f"{theirs}.bias"] = g_ema[f"{layer}.bias"].flatten()
        else:
            state[f"{theirs}.bias"] = g_ema[f"{layer}.activate.bias"]
            state[f"{theirs}.noise_strength"] = g_ema[f"{layer}.noise.weight"][0]
            state[f"{theirs}.noise_const"] = g_ema[f"noises.noise_{noise}"][0, 0]
            state[f"{theirs}.resample_filter"] = FILTER
    return state


def nvidia_discriminator(d: State) -> State:
    """The same weights by NVIDIA's names."""
    num_blocks = len({key.split(".")[1] for key in d if key.startswith("convs.")}) - 1
    top = 4 << num_blocks
    names = {"convs.0.0.weight": f"b{top}.fromrgb.weight", "convs.0.1.bias": f"b{top}.fromrgb.bias"}
    for k in range(1, num_blocks + 1):
        block = f"b{top >> (k - 1)}"
        names |= {
            f"convs.{k}.conv1.0.weight": f"{block}.conv0.weight",
            f"convs.{k}.conv1.1.bias": f"{block}.conv0.bias",
            f"convs.{k}.conv2.1.weight": f"{block}.conv1.weight",
            f"convs.{k}.conv2.2.bias": f"{block}.conv1.bias",
            f"convs.{k}.skip.1.weight": f"{block}.skip.weight",
        }
    names |= {"final_conv.0.weight": "b4.conv.weight", "final_conv.1.bias": "b4.conv.bias"}
    for i, name in enumerate(("fc", "out")):
        names |= {f"final_linear.{i}.{k}": f"b4.{name}.{k}" for k in ("weight", "bias")}
    state = {names[key]: value for key, value in d.items() if key in names}
    layers = {key.rsplit(".", 1)[0] for key in state if key.rsplit(".", 2)[1] not in ("fc", "out")}
    blocks = {key.split(".")[0] for key in state} - {"b4"}
    return state | {f"{name}.resample_filter": FILTER for name in layers | blocks}


def reconstruct(meta: dict[str, Any]) -> None:
    """Pickled by name in place of NVIDIA's hook; never called in these tests."""
    raise AssertionError("the hook of a pickle was called")


class EasyDict(dict[str, Any]):
    """Pickled by name in place of NVIDIA's."""


for thing, module, name in (
    (reconstruct, "torch_utils.persistence", "_reconstruct_persistent_obj"),
    (EasyDict, "dnnlib.util", "EasyDict"),
):
    thing.__module__, thing.__qualname__, thing.__name__ = module, name, name


class Persistent(nn.Module):
    """A module that is pickled as NVIDIA's persistent classes are: with source code to execute."""

    source_code = ""

    def __init__(self, class_name: str = "Layer") -> None:
        super().__init__()
        self._init_args, self._init_kwargs = (), EasyDict(clamp=256)
        self.__dict__["name_of_class"] = class_name

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": self.source_code,
            "class_name": self.__dict__["name_of_class"],
            "state": self.__dict__,
        }
        return reconstruct, (meta,), None


def persistent(state: State, class_name: str) -> Persistent:
    """A tree of modules with the parameters and buffers of a flat state."""
    root = Persistent(class_name)
    for key, value in state.items():
        *path, leaf = key.split(".")
        module = root
        for part in path:
            if part not in module._modules:
                module.add_module(part, Persistent())
            child = module._modules[part]
            assert isinstance(child, Persistent)
            module = child
        if leaf in ("weight", "bias", "const", "noise_strength"):
            module.register_parameter(leaf, nn.Parameter(value.clone()))
            module.__dict__["activation"] = "linear" if path[-1] == "affine" else "lrelu"
        else:
            module.register_buffer(leaf, value.clone())
        if path[0] == "mapping" and len(path) == 2:
            module.__dict__["bias_gain"] = 0.01
    if class_name == "Discriminator":
        mbstd = Persistent("MinibatchStdLayer")
        mbstd.__dict__["group_size"] = 4
        root.get_submodule("b4").add_module("mbstd", mbstd)
    return root


@pytest.fixture
def rosinality() -> Callable[..., dict[str, Any]]:
    """Makes checkpoints of rosinality's code."""
    return rosinality_checkpoint


@pytest.fixture
def nvidia(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Makes what a pickle of NVIDIA's holds, from a checkpoint of rosinality's."""
    for thing in (reconstruct, EasyDict):
        module = ModuleType(thing.__module__)
        setattr(module, thing.__qualname__, thing)
        monkeypatch.setitem(sys.modules, thing.__module__.split(".")[0], ModuleType("package"))
        monkeypatch.setitem(sys.modules, thing.__module__, module)

    def make(checkpoint: dict[str, Any]) -> dict[str, Any]:
        G = persistent(nvidia_generator(checkpoint["g_ema"], checkpoint["latent_avg"]), "Generator")
        return {
            "G": None,
            "D": persistent(nvidia_discriminator(checkpoint["d"]), "Discriminator"),
            "G_ema": G,
            "augment_pipe": Persistent("AugmentPipe"),
            "training_set_kwargs": EasyDict(class_name="Dataset", resolution=32),
        }

    return make


@pytest.fixture
def dump(tmp_path: Path) -> Callable[..., Path]:
    """Writes a pickle and returns its path."""

    def write(content: Any, protocol: int = 4) -> Path:
        path = tmp_path / "official.pkl"
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return write
