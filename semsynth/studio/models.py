"""The models behind the tabs: those that ship, or files named on the command line."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch.cli import instantiate_class
from torch import nn

from semsynth.callbacks import run_directory
from semsynth.data import DataError
from semsynth.data.labels import LabelSpace, distinct_palette
from semsynth.editing import Canvas, ClosedLoop, Editor
from semsynth.files import read_json, read_yaml
from semsynth.methods import CLVAE, FewShotSMIS
from semsynth.methods.opening import load_editor
from semsynth.methods.trained import drop_training_parts, load_trained
from semsynth.networks.unet import UNet
from semsynth.weights import load_segmenter
from semsynth.weights.cards import as_described, read_card
from semsynth.weights.priors import fingerprint, load_generator

CLVAE_SHIPPED = "toy_street_clvae"
FEWSHOT_SHIPPED = "toy_portrait_fewshot"
LAYOUT_SHIPPED = "toy_portrait"


class ModelError(ValueError):
    """A file does not fit its tab; the message says why."""


@dataclass(frozen=True)
class Painter:
    """The model of the Paint tab.

    Attributes:
        method: The method.
        space: Its classes.
        toy: Whether it is the shipped one, which has a segmenter and examples.
        segmenter: Labels photos; None if no shipped one has these classes.
    """

    method: CLVAE
    space: LabelSpace
    toy: bool
    segmenter: UNet | None

    @cached_property
    def identity(self) -> str:
        """Tells this model from others, whose label maps and images a page keeps apart."""
        return identity(self.method)


@dataclass(frozen=True)
class Scribbler:
    """The model of the Scribble tab; see ``Painter``."""

    method: FewShotSMIS
    space: LabelSpace
    toy: bool

    @cached_property
    def identity(self) -> str:
        """See ``Painter``."""
        return identity(self.method)


@dataclass(frozen=True)
class Dragger:
    """The model of the Drag tab.

    Attributes:
        canvas: The canvas of the marks.
        editor: Edits in one pass.
        loop: Edits in a closed loop.
        reach: Longest drag in pixels of the canvas that it follows.
    """

    canvas: Canvas
    editor: Editor
    loop: Editor
    reach: float

    @cached_property
    def identity(self) -> str:
        """See ``Painter``; latents depend on the generator alone."""
        return identity(self.canvas.generator)


@dataclass(frozen=True)
class Models:
    """One model for each tab."""

    paint: Painter
    scribble: Scribbler
    drag: Dragger

    @classmethod
    def load(
        cls,
        clvae: str | None = None,
        fewshot: str | None = None,
        layout: str | None = None,
        device: str | None = None,
    ) -> Self:
        """Open the models that ship, or those in files.

        Args:
            clvae: Checkpoint of CLVAE, or the file of a trained one.
            fewshot: Checkpoint of FewShotSMIS, file of a trained one, or of an imported encoder.
            layout: Checkpoint of UserControllableLT, or the file of a latent transformer.
            device: Their device; a GPU if there is one.
        """
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(
            load_painter(clvae, place), load_scribbler(fewshot, place), load_dragger(layout, place)
        )


def identity(network: nn.Module) -> str:
    """The fingerprint of a network, shortened."""
    return fingerprint(network)[:16]


def load_painter(file: str | None, device: torch.device) -> Painter:
    """The model of the Paint tab."""
    method, space = load(file or CLVAE_SHIPPED, CLVAE)
    assert isinstance(method, CLVAE)
    if method.instances_per_class > 1:
        raise ModelError(
            f"{file} has codes for instances, but the studio paints classes only; give a model "
            "with instances_per_class 1."
        )
    segmenter = load_segmenter("toy_street").to(device) if file is None else None
    return Painter(method.to(device), space, file is None, segmenter)


def load_scribbler(file: str | None, device: torch.device) -> Scribbler:
    """The model of the Scribble tab."""
    method, space = load(file or FEWSHOT_SHIPPED, FewShotSMIS)
    assert isinstance(method, FewShotSMIS)
    return Scribbler(method.to(device), space, file is None)


def load_dragger(file: str | None, device: torch.device) -> Dragger:
    """The model of the Drag tab."""
    method = load_editor(file or LAYOUT_SHIPPED)
    canvas = Canvas.of(method.to(device).requires_grad_(False))
    return Dragger(canvas, method, ClosedLoop(method, canvas), min(canvas.size, method.reach))


def load(file: str, kind: type[CLVAE | FewShotSMIS]) -> tuple[CLVAE | FewShotSMIS, LabelSpace]:
    """A method of a kind and its classes, from any supported file."""
    card: dict[str, Any] = {}
    if file.endswith(".ckpt"):
        method = load_checkpoint(file, kind)
    elif (path := Path(file)).with_suffix(".json").is_file() and "encoder" in read_card(path):
        with as_described(path):
            method = load_imported(path, read_card(path))
    else:
        method, card = load_trained(file)
    if not isinstance(method, kind):
        raise ModelError(f"{file} contains {type(method).__name__}, not {kind.__name__}.")
    return method, space_of(card, method, file)


def load_checkpoint(file: str, kind: type[CLVAE | FewShotSMIS]) -> CLVAE | FewShotSMIS:
    """A method from a checkpoint of ``semsynth fit`` or ``semsynth import``."""
    try:
        method = kind.load_from_checkpoint(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, TypeError) as error:
        raise ModelError(f"{file} is not a checkpoint of {kind.__name__}: {error}") from error
    return drop_training_parts(method).eval()


def load_imported(file: Path, card: dict[str, Any]) -> FewShotSMIS:
    """An encoder of ``semsynth import --as fewshot_smis``, with the prior beside it."""
    arguments = card["encoder"]
    prior = file.parent / str(card.get("prior_file"))
    size, num_ws = arguments["image_size"], arguments["num_ws"]
    whole = num_ws == load_generator(prior).num_ws
    method = FewShotSMIS(
        arguments["in_channels"],
        (size, size),
        str(prior),
        encoder_units=arguments["units"],
        encoder_widths=arguments["widths"],
        style_layer=None if whole else num_ws,
        style_weight=float(whole),
    )
    method.load_encoder(file)
    return method.requires_grad_(False).eval()


def space_of(card: dict[str, Any], method: CLVAE | FewShotSMIS, file: str) -> LabelSpace:
    """Names and colours of the classes: from the card, the run's data, or numbers."""
    count = method.num_classes
    if "classes" in card:
        with as_described(Path(file)):
            classes = card["classes"]
            palette = tuple((int(r), int(g), int(b)) for r, g, b in classes["palette"])
            return LabelSpace(tuple(classes["names"]), palette, unknown=card.get("unknown"))
    config = run_directory.of_checkpoint(file) / "config.yaml"
    names = config.with_name("classes.json")
    content = read_yaml(config) if config.is_file() else {}
    data = content.get("data") if isinstance(content, dict) else None
    if isinstance(data, dict) and str(data.get("class_path")).startswith("semsynth.data."):
        try:
            return instantiate_class((), data).label_space
        except (DataError, OSError, TypeError, ValueError):
            pass  # the data are elsewhere: the run has their names, but not their colours
    words = read_json(names) if names.is_file() else [f"class {i}" for i in range(count)]
    sparse = isinstance(method, FewShotSMIS) and method.sparse
    return LabelSpace(tuple(words), distinct_palette(count), unknown=0 if sparse else None)
