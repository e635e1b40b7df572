"""CLVAE's networks from official checkpoints, ``latest_net_{G,E,D}.pth``: names, shapes, copies.

The shapes do not determine the size of the images: the first map of 8x8 cells may be enlarged 32 or
64 times.
"""

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import Tensor, nn

from semsynth.files import replaced, write_text
from semsynth.interop.checkpoints import CheckpointError, load_torch, naming, refuses_the_rest
from semsynth.interop.tensors import Rules, State, fitted, rename, shape_of
from semsynth.networks.clvae.encoder import CLVAEEncoder
from semsynth.networks.clvae.generator import CLVAEGenerator
from semsynth.networks.clvae.patch_discriminator import MultiscaleDiscriminator
from semsynth.networks.clvae.spade_generator import Upsampling, start_grid

LabelOrder = Literal["raw", "shifted"]
FILES = {"generator": "G", "encoder": "E", "discriminator": "D"}
LICENCE = "CC BY-NC-SA 4.0, as the code it was trained with: no commercial use"
ADE20K_CLASSES = 151
# Image size and enlargement of the paper's models by the number of cells of the first map.
PAPER_SIZES: dict[int, tuple[tuple[int, int], Upsampling]] = {
    64: ((256, 256), "normal"),  # ADE20K
    16: ((256, 256), "more"),  # DeepFashion
    32: ((256, 512), "more"),  # GTA5
}
DATA = "${oc.env:SEMSYNTH_DATA,data}/"
DATA_SETS: dict[int, dict[str, Any]] = {  # by number of classes
    151: {"class_path": "ADE20K", "init_args": {"root": DATA + "ADEChallengeData2016"}},
    35: {
        "class_path": "Cityscapes",
        "init_args": {"root": DATA + "cityscapes", "label_space": "cityscapes-35"},
    },
    20: {"class_path": "GTA5", "init_args": {"root": DATA + "gta5"}},
    19: {"class_path": "CelebAMaskHQ", "init_args": {"root": DATA + "CelebAMask-HQ"}},
    16: {"class_path": "DeepFashion", "init_args": {"root": DATA + "deepfashion"}},
}
_BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")
_SPECTRAL = (
    (r"parametrizations\.weight\.original$", "weight_orig"),
    (r"parametrizations\.weight\.0\._([uv])$", r"weight_\1"),
)
RULES: dict[str, Rules] = {
    "generator": (
        (r"^decoder\.start\.", "fc."),
        (r"^decoder\.to_image\.", "conv_img."),
        *((rf"^decoder\.blocks\.{i}\.", f"{name}.") for i, name in enumerate(_BLOCKS)),
        (r"spade_([01s])\.norm\.", r"norm_\1.param_free_norm."),
        (r"spade_([01s])\.(shared|gamma|beta)\.", r"norm_\1.mlp_\2."),
        *_SPECTRAL,
    ),
    "encoder": (
        *((rf"^blocks\.{i}\.", f"layer{i + 1}.") for i in range(6)),
        *((rf"^heads\.{j}\.", f"{j + 1}.") for j in range(5)),
        (r"^(\d)\.mu\.", r"fc_mu\1."),
        (r"^(\d)\.logvar\.", r"fc_var\1."),
        (r"^global_head\.mu\.", "fc_mu."),
        (r"^global_head\.logvar\.", "fc_var."),
        *_SPECTRAL,
    ),
    "discriminator": (
        (r"^scales\.(\d)\.first\.", r"discriminator_\1.model0.0."),
        *((rf"^scales\.(\d)\.layers\.{k}\.", rf"discriminator_\1.model{k + 1}.0.") for k in (0, 1)),
        (r"^scales\.(\d)\.layers\.2\.", r"discriminator_\1.model3.0."),
        (r"^scales\.(\d)\.last\.", r"discriminator_\1.model4.0."),
        *_SPECTRAL,
    ),
}


@dataclass
class ImportedCLVAE:
    """Networks of official files, as our method names them.

    Attributes:
        arguments: Arguments of the method's constructor.
        state: Weights of the method's networks that have a file.
        absent: Networks without a file.
        label_order: The file's order of labels.
        files: The files.
    """

    arguments: dict[str, Any]
    state: State
    absent: list[str]
    label_order: LabelOrder
    files: list[Path]


@refuses_the_rest
def import_clvae(
    path: Path, image_size: tuple[int, int] | None = None, label_order: LabelOrder | None = None
) -> ImportedCLVAE:
    """Import the networks of a training of the official code.

    Args:
        path: Directory of ``*_net_G.pth`` with, optionally, ``*_net_E.pth`` and ``*_net_D.pth``; or
            the file of the generator.
        image_size: Height and width of the images; by default the paper's.
        label_order: ``raw`` if channel 0 is unknown and channel k the value k on disk, as in the
            official checkpoints for ADE20K; the channels are then brought to our order, unknown
            last. ``shifted`` takes them unchanged. By default raw for 151 classes.

    """
    files = find_files(path)
    states = {network: read_state(file) for network, file in files.items()}
    with naming(path):
        arguments = infer_arguments(states, image_size)
    num_classes = arguments["num_classes"]
    order = label_order or ("raw" if num_classes == ADE20K_CLASSES else "shifted")
    networks = build_networks(arguments)
    state: State = {}
    for network, official in states.items():
        with naming(files[network]):
            renamed = rename(official, networks[network].state_dict(), RULES[network], network)
            ours = fitted(networks[network], renamed, RULES[network])
        if order == "raw":
            ours = unknown_last(ours, network, num_classes)
        state |= {f"{network}.{key}": value for key, value in ours.items()}
    absent = [network for network in FILES if network not in states]
    return ImportedCLVAE(arguments, state, absent, order, list(files.values()))


def find_files(path: Path) -> dict[str, Path]:
    """The generator's file, and those of encoder and discriminator of the same epoch."""
    if path.is_dir():
        found = sorted(path.glob("*_net_G.pth"))
        latest = [file for file in found if file.name.startswith("latest")]
        if len(latest or found) != 1:
            names = ", ".join(file.name for file in found) or "none"
            raise CheckpointError(
                f"{path} must contain latest_net_G.pth, or one other *_net_G.pth; found {names}. "
                "Give the file itself"
            )
        path = (latest or found)[0]
    if not path.name.endswith("_net_G.pth"):
        raise CheckpointError(
            f"{path} must be a directory or a generator named *_net_G.pth; encoder and "
            "discriminator are looked for beside it"
        )
    files = {n: path.with_name(path.name[:-5] + f"{letter}.pth") for n, letter in FILES.items()}
    if not files["generator"].is_file():
        raise CheckpointError(f"there is no file {path}")
    return {network: file for network, file in files.items() if file.is_file()}


def read_state(file: Path) -> State:
    """A state dict from a file of ``torch.save``."""
    with naming(file):
        content = load_torch(file)
        if isinstance(content, dict) and all(isinstance(v, Tensor) for v in content.values()):
            return dict(content)
        raise CheckpointError("it is not a state dict")


def infer_arguments(states: dict[str, State], image_size: tuple[int, int] | None) -> dict[str, Any]:
    """Arguments of the method, from the shapes."""
    state = states["generator"]
    if "embedding.weight" not in state and "conv_img.weight" in state:
        raise CheckpointError(
            "its generator has no embedding.weight: a SPADE generator, not a CLVAE"
        )
    num_classes, code_dim = shape_of(state, "embedding.weight", 2)
    rows, z_dim = shape_of(state, "fc.weight", 2)
    most = any(key.startswith("up_4.") for key in state)
    channels = shape_of(state, "conv_img.weight", 4)[1] * (2 if most else 1)
    cells = rows // (16 * channels)
    size, upsampling = choose_size(cells, image_size, most=most)
    arguments = {
        "num_classes": num_classes,
        "image_size": size,
        "channels": channels,
        "spade_channels": shape_of(state, "head_0.norm_0.mlp_shared.0.weight", 4)[0],
        "z_dim": z_dim,
        "code_dim": code_dim,
        "upsampling": upsampling,
    }
    if "encoder" in states:
        columns = shape_of(states["encoder"], "fc_mu.weight", 2)[1]
        grid = round((columns / (8 * channels)) ** 0.5)
        if grid**2 * 8 * channels != columns:
            raise CheckpointError(
                f"its encoder has {columns} numbers before the global code, not a square number of "
                f"{8 * channels} channels; encoder and generator must be of one training"
            )
        arguments["encoder_size"] = 64 * grid
    if "discriminator" in states:
        width = shape_of(states["discriminator"], "discriminator_0.model0.0.weight", 4)[0]
        arguments["discriminator_channels"] = width
    return arguments


def choose_size(
    cells: int, image_size: tuple[int, int] | None, *, most: bool
) -> tuple[tuple[int, int], Upsampling]:
    """Size of the images, and how the first map of so many cells is enlarged to it."""
    if image_size is None:
        if cells not in PAPER_SIZES or most:
            raise CheckpointError(
                f"its first map has {cells} cells, unlike the paper's models, so the image size "
                "is unknown. Set --image_size HEIGHT WIDTH"
            )
        return PAPER_SIZES[cells]
    modes: tuple[Upsampling, ...] = ("most",) if most else ("normal", "more")
    for mode in modes:
        try:
            h, w = start_grid(image_size, mode)
        except ValueError:
            continue
        if h * w == cells:
            return image_size, mode
    raise CheckpointError(
        f"its first map has {cells} cells, from which no enlargement ({', '.join(modes)}) makes "
        f"images of {image_size[0]}x{image_size[1]}. Set another --image_size HEIGHT WIDTH"
    )


def build_networks(arguments: dict[str, Any]) -> dict[str, nn.Module]:
    """The method's networks, without storage."""
    a = arguments
    codes = (a["channels"], a["z_dim"], a["code_dim"])
    with torch.device("meta"):
        return {
            "generator": CLVAEGenerator(
                a["num_classes"],
                a["image_size"],
                *codes,
                upsampling=a["upsampling"],
                spade_channels=a["spade_channels"],
            ),
            "encoder": CLVAEEncoder(
                a["num_classes"], *codes, encoder_size=a.get("encoder_size", 256)
            ),
            "discriminator": MultiscaleDiscriminator(
                a["num_classes"] + 3, a.get("discriminator_channels", 64)
            ),
        }


def unknown_last(state: State, network: str, num_classes: int) -> State:
    """Move the channel of unknown pixels from the first place to the last."""
    order = [*range(1, num_classes), 0]
    moved = dict(state)
    for key, value in state.items():
        if network == "generator" and key == "embedding.weight":
            moved[key] = value[order]
        # blocks before 6 read code maps, whose channels are not classes
        elif network == "generator" and re.match(r"decoder\.blocks\.[67]\..*shared\.0\.w", key):
            moved[key] = value[:, order]
        elif network == "discriminator" and key.endswith("first.weight"):
            moved[key] = value[:, [*order, *range(num_classes, value.shape[1])]]
    return moved


def save_clvae(imported: ImportedCLVAE, directory: Path) -> Path:
    """Write a run directory: ``checkpoints/official.ckpt``, whose path is returned, and its config.

    ``semsynth test`` and ``semsynth predict`` find the configuration from ``--ckpt_path``.
    """
    content = {
        "state_dict": imported.state,
        "hyper_parameters": imported.arguments,
        "absent_networks": imported.absent,
        "licence": LICENCE,
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": version("lightning"),
    }
    path = directory / "checkpoints" / "official.ckpt"
    with replaced(path) as temporary, temporary.open("wb") as opened:
        torch.save(content, opened)
    config = configuration(imported.arguments) | {"run_dir": str(directory)}
    write_text(directory / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    return path


def configuration(arguments: dict[str, Any]) -> dict[str, Any]:
    """The configuration for ``semsynth test``: the method, and the data of its paper."""
    num_classes, size = arguments["num_classes"], list(arguments["image_size"])
    linked = ("num_classes", "image_size")  # the method takes them from the data
    folder = {"class_path": "Folder", "init_args": {"root": "data", "num_classes": num_classes}}
    data = DATA_SETS.get(num_classes, folder)
    data = {**data, "init_args": data["init_args"] | {"image_size": size}}
    model = {key: value for key, value in arguments.items() if key not in linked}
    return {"model": {"class_path": "CLVAE", "init_args": model}, "data": data}
