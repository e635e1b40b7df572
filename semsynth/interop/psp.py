"""Encoders of pSp and of what was built on it, with their generators, from official checkpoints.

Known is the encoder that goes through a feature pyramid on an IR-SE network
(``GradualStyleEncoder``), of any number of styles, widths and units. As for StyleGAN2, every tensor
of a file must be known and every one that is needed must be there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsynth.interop import checkpoints
from semsynth.interop.checkpoints import Checkpoint, CheckpointError
from semsynth.interop.stylegan2 import (
    ImportedStyleGAN2,
    State,
    count,
    import_networks,
    load_strictly,
    rename,
)
from semsynth.interop.stylegan2_names import Names
from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder, level_of

ENCODER = "encoder.*"
BOTH = ("weight", "bias")
NORM = (*BOTH, "running_mean", "running_var", "num_batches_tracked")


@dataclass
class ImportedEncoder:
    """Encoder and generator of a file.

    Attributes:
        encoder: The encoder, whose styles are relative to the mean latent.
        encoder_arguments: Arguments of its constructor.
        prior: Its generator.
    """

    encoder: GradualStyleEncoder
    encoder_arguments: dict[str, Any]
    prior: ImportedStyleGAN2


@checkpoints.refuses_the_rest
def import_psp(path: Path) -> ImportedEncoder:
    """Import the encoder and the generator of a bundle.

    Args:
        path: A ``.pt`` file with ``encoder.*`` and ``decoder.*`` in its state dict.

    Raises:
        CheckpointError: The file is not understood in full; the message says what is in the way.
    """
    source = checkpoints.read(path)
    try:
        encoder, arguments = build_encoder(source)
    except CheckpointError as error:
        raise CheckpointError(f"{path} ({source.format}): {error}") from error
    prior = import_networks(path, source)
    G = prior.generator
    if arguments["num_ws"] > G.num_ws or arguments["w_dim"] != G.w_dim:
        raise CheckpointError(
            f"{path} ({source.format}): its encoder gives {arguments['num_ws']} styles of length "
            f"{arguments['w_dim']}, its generator takes {G.num_ws} of length {G.w_dim}"
        )
    if not source.relative_styles:
        for head in encoder.heads:
            head.get_parameter("linear.bias").data.sub_(G.mean_latent)
    source.left_out = [key for key in source.left_out if key != ENCODER]
    return ImportedEncoder(encoder, arguments, prior)


def build_encoder(source: Checkpoint) -> tuple[GradualStyleEncoder, dict[str, Any]]:
    """The encoder of a file and its arguments, which are read off the shapes."""
    state = source.encoder
    if state is None:
        raise CheckpointError(
            "it holds no encoder (encoder.*). To import its generator alone, say --as stylegan2"
        )
    if unknown := [key for key in source.left_out if key.endswith(".*") and key != ENCODER]:
        raise CheckpointError(f"its state_dict has unknown parts: {', '.join(unknown)}")
    units, widths = infer_groups(state)
    num_ws, num_convs = count(state, "styles."), count(state, "styles.0.convs.")
    arguments = {
        "in_channels": axis(state, "input_layer.0.weight", 1),
        "num_ws": num_ws,
        "image_size": 16 << num_convs,
        "w_dim": axis(state, "styles.0.linear.weight", 0),
        "units": units,
        "widths": widths,
    }
    names = encoder_names(units, num_ws, num_convs)
    renamed, origin = rename(state, names, "encoder")
    return load_strictly(GradualStyleEncoder, arguments, renamed, origin), arguments


def infer_groups(state: State) -> tuple[list[int], list[int]]:
    """Units and widths of the residual groups, each of which starts with a convolved shortcut.

    Raises:
        CheckpointError: There are not four groups, or no style.
    """
    units: list[int] = []
    widths: list[int] = []
    for i in range(count(state, "body.")):
        if not units or f"body.{i}.shortcut_layer.0.weight" in state:
            units.append(0)
            widths.append(axis(state, f"body.{i}.res_layer.1.weight", 0))
        units[-1] += 1
    if len(units) != 4 or not count(state, "styles.") or not count(state, "styles.0.convs."):
        raise CheckpointError(
            f"its encoder has {len(units)} groups of residual units and "
            f"{count(state, 'styles.')} heads. Known is the GradualStyleEncoder of pSp, with four "
            "groups and a head of convolutions for each style"
        )
    return units, widths


def axis(state: State, key: str, index: int) -> int:
    """Length of an axis of a tensor that must be there.

    Raises:
        CheckpointError: It is not.
    """
    if key not in state or state[key].ndim <= index:
        raise CheckpointError(f"its encoder lacks tensors: {key}")
    return state[key].shape[index]


def encoder_names(units: list[int], num_ws: int, num_convs: int) -> Names:
    """Our name of each tensor of an encoder.

    Args:
        units: Residual units of each group.
        num_ws: Number of heads.
        num_convs: Convolutions of the first head; those on larger maps have one or two more.
    """
    tensors = {"input_layer.0.weight": "stem.0.weight", "input_layer.2.weight": "stem.2.weight"}
    tensors |= layer("input_layer.1", "stem.1", NORM)
    places = [(i, j) for i, number in enumerate(units) for j in range(number)]
    for index, (i, j) in enumerate(places):
        tensors |= unit_names(f"body.{index}", f"groups.{i}.{j}", i > 0 and j == 0)
    for k in (1, 2):
        tensors |= layer(f"latlayer{k}", f"lateral{k}", BOTH)
    for i in range(num_ws):
        for k in range(num_convs + level_of(i)):
            tensors |= layer(f"styles.{i}.convs.{2 * k}", f"heads.{i}.convs.{2 * k}", BOTH)
        tensors |= layer(f"styles.{i}.linear", f"heads.{i}.linear", BOTH)
    return Names(tensors, {})


def unit_names(theirs: str, ours: str, widens: bool) -> dict[str, str]:
    """Names of a residual unit."""
    names: dict[str, str] = {}
    for k in (0, 4):
        names |= layer(f"{theirs}.res_layer.{k}", f"{ours}.residual.{k}", NORM)
    leaves = ["1.weight", "2.weight", "3.weight", "5.fc1.weight", "5.fc2.weight"]
    names |= {f"{theirs}.res_layer.{k}": f"{ours}.residual.{k}" for k in leaves}
    if widens:
        names[f"{theirs}.shortcut_layer.0.weight"] = f"{ours}.shortcut.0.weight"
        names |= layer(f"{theirs}.shortcut_layer.1", f"{ours}.shortcut.1", NORM)
    return names


def layer(theirs: str, ours: str, leaves: tuple[str, ...]) -> dict[str, str]:
    """Names of the tensors of a layer."""
    return {f"{theirs}.{leaf}": f"{ours}.{leaf}" for leaf in leaves}
