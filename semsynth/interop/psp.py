"""Encoders of pSp and of what was built on it, with their generators, from official checkpoints.

Supported is the encoder with a feature pyramid on an IR-SE network
(``GradualStyleEncoder``), of any number of styles, widths and units.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsynth.interop import checkpoints
from semsynth.interop.checkpoints import CheckpointError, StyleGAN2File, naming
from semsynth.interop.stylegan2 import ImportedStyleGAN2, import_networks
from semsynth.interop.tensors import State, count, load_strictly, names_of, rename, shape_of
from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder

ENCODER = "encoder.*"
RULES = (
    (r"^stem\.", "input_layer."),
    (r"^lateral", "latlayer"),
    (r"^heads\.", "styles."),
    (r"\.residual\.", ".res_layer."),
    (r"\.shortcut\.", ".shortcut_layer."),
)
"""Names of all but the residual units, which are numbered through."""


@dataclass
class ImportedEncoder:
    """Encoder, whose styles are relative to the mean latent, with its arguments and generator."""

    encoder: GradualStyleEncoder
    encoder_arguments: dict[str, Any]
    prior: ImportedStyleGAN2


@checkpoints.refuses_the_rest
def import_psp(path: Path) -> ImportedEncoder:
    """Import ``encoder.*`` and ``decoder.*`` of a ``.pt`` file; unknown contents are refused."""
    source = checkpoints.read(path)
    with naming(f"{path} ({source.format})"):
        encoder, arguments = build_encoder(source)
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


def build_encoder(source: StyleGAN2File) -> tuple[GradualStyleEncoder, dict[str, Any]]:
    """The encoder of a file and its arguments, which are read off the shapes."""
    state = source.encoder
    if state is None:
        raise CheckpointError(
            "it has no encoder (encoder.*). To import only its generator, use --as stylegan2"
        )
    if unknown := [key for key in source.left_out if key.endswith(".*") and key != ENCODER]:
        raise CheckpointError(f"its state_dict has unknown parts: {', '.join(unknown)}")
    units, widths = infer_groups(state)
    num_ws, num_convs = count(state, "styles."), count(state, "styles.0.convs.")
    arguments = {
        "in_channels": shape_of(state, "input_layer.0.weight", 4)[1],
        "num_ws": num_ws,
        "image_size": 16 << num_convs,
        "w_dim": shape_of(state, "styles.0.linear.weight", 2)[0],
        "units": units,
        "widths": widths,
    }
    places = [(i, j) for i, number in enumerate(units) for j in range(number)]
    numbered = [(rf"^groups\.{i}\.{j}\.", f"body.{n}.") for n, (i, j) in enumerate(places)]
    rules = (*numbered, *RULES)
    renamed = rename(state, names_of(GradualStyleEncoder, **arguments), rules, "encoder")
    return load_strictly(GradualStyleEncoder, arguments, renamed, rules), arguments


def infer_groups(state: State) -> tuple[list[int], list[int]]:
    """Units and widths of the residual groups, each of which starts with a convolved shortcut."""
    units: list[int] = []
    widths: list[int] = []
    for i in range(count(state, "body.")):
        if not units or f"body.{i}.shortcut_layer.0.weight" in state:
            units.append(0)
            widths.append(shape_of(state, f"body.{i}.res_layer.1.weight", 4)[0])
        units[-1] += 1
    if len(units) != 4 or not count(state, "styles.") or not count(state, "styles.0.convs."):
        raise CheckpointError(
            f"its encoder has {len(units)} groups of residual units and "
            f"{count(state, 'styles.')} heads. Known is the GradualStyleEncoder of pSp, with four "
            "groups and a head of convolutions for each style"
        )
    return units, widths
