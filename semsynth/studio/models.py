"""The models behind the tabs: those that ship, or files named on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import torch
from lightning.pytorch.cli import instantiate_class

from semsynth.callbacks import run_directory
from semsynth.data import DataError
from semsynth.data.labels import LabelSpace, distinct_palette
from semsynth.editing import Canvas, ClosedLoop, Editor
from semsynth.files import read_json, read_yaml
from semsynth.methods import CLVAE, FewShotSMIS
from semsynth.methods.opening import load_editor
from semsynth.methods.trained import drop_training_parts, load_trained
from semsynth.networks.unet import UNet
from semsynth.studio.about import About, about
from semsynth.weights import load_segmenter
from semsynth.weights.cards import as_described, read_card
from semsynth.weights.editors import find_editor
from semsynth.weights.priors import load_generator

CLVAE_SHIPPED = "toy_street_clvae"
FEWSHOT_SHIPPED = "toy_portrait_fewshot"
LAYOUT_SHIPPED = "toy_portrait"
Tab = Literal["paint", "scribble", "drag"]


class ModelError(ValueError):
    """A file does not fit its tab; the message says why."""


@dataclass(frozen=True)
class Painter:
    """A model of the Paint tab.

    Attributes:
        about: What is told of it; the shipped one has examples.
        method: The method.
        space: Its classes.
        segmenter: Labels photos; None if no shipped one has these classes.
    """

    about: About
    method: CLVAE
    space: LabelSpace
    segmenter: UNet | None


@dataclass(frozen=True)
class Scribbler:
    """A model of the Scribble tab; see ``Painter``."""

    about: About
    method: FewShotSMIS
    space: LabelSpace


@dataclass(frozen=True)
class Dragger:
    """A model of the Drag tab.

    Attributes:
        about: What is told of it.
        canvas: The canvas of the marks.
        editor: Edits in one pass.
        loop: Edits in a closed loop.
        reach: Longest drag in pixels of the canvas that it follows.
    """

    about: About
    canvas: Canvas
    editor: Editor
    loop: Editor
    reach: float


AnyModel = Painter | Scribbler | Dragger
Model = TypeVar("Model", Painter, Scribbler, Dragger)


@dataclass(frozen=True)
class Models:
    """The models of each tab; a visit begins with the first one.

    Attributes:
        first: The tab to begin with.
    """

    paint: tuple[Painter, ...]
    scribble: tuple[Scribbler, ...]
    drag: tuple[Dragger, ...]
    first: Tab = "paint"

    @classmethod
    def load(
        cls,
        clvae: Sequence[str] = (),
        fewshot: Sequence[str] = (),
        layout: Sequence[str] = (),
        device: str | None = None,
    ) -> Self:
        """Open the models that ship and those in files: large images first, what ships last.

        Args:
            clvae: Checkpoints of CLVAE, or files of trained ones.
            fewshot: Checkpoints of FewShotSMIS, files of trained ones, or of imported encoders.
            layout: Checkpoints of UserControllableLT, or files of latent transformers.
            device: Their device; a GPU if there is one.
        """
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        painters = best_first([load_painter(file, place) for file in (*clvae, None)])
        scribblers = best_first([load_scribbler(file, place) for file in (*fewshot, None)])
        draggers = best_first([load_dragger(file, place) for file in (*layout, None)])
        first = first_tab(painters[0], scribblers[0], draggers[0])
        return cls(painters, scribblers, draggers, first)


def first_tab(painter: Painter, scribbler: Scribbler, dragger: Dragger) -> Tab:
    """The tab of the model that looks best."""
    shown: dict[Tab, AnyModel] = {"paint": painter, "scribble": scribbler, "drag": dragger}
    return min(shown, key=lambda tab: rank(shown[tab]))


def best_first(models: Sequence[Model]) -> tuple[Model, ...]:
    """Models of one tab, sorted by ``rank``, without copies."""
    return tuple(sorted({model.about.identity: model for model in models}.values(), key=rank))


def rank(model: AnyModel) -> tuple[bool, int]:
    """Is lowest for what looks best: large images, and what ships last."""
    if isinstance(model, Painter):
        height, width = model.method.hparams["image_size"]
        return model.about.shipped, -int(height) * int(width)
    G = model.method.generator if isinstance(model, Scribbler) else model.canvas.generator
    return model.about.shipped, -(int(G.image_size) ** 2)


def load_painter(file: str | None, device: torch.device) -> Painter:
    """A model of the Paint tab; the shipped one without a file."""
    method, space, card = load(file or CLVAE_SHIPPED, CLVAE)
    assert isinstance(method, CLVAE)
    if method.instances_per_class > 1:
        raise ModelError(
            f"{file} has codes for instances, but the studio paints classes only; give a model "
            "with instances_per_class 1."
        )
    segmenter = load_segmenter("toy_street").to(device) if file is None else None
    height, width = method.hparams["image_size"]
    facts = {"method": "CLVAE", "images": f"{height} x {width}", "classes": space.num_classes}
    told = about(method, file or CLVAE_SHIPPED, card, facts, file is None)
    return Painter(told, method.to(device), space, segmenter)


def load_scribbler(file: str | None, device: torch.device) -> Scribbler:
    """A model of the Scribble tab; the shipped one without a file."""
    method, space, card = load(file or FEWSHOT_SHIPPED, FewShotSMIS)
    assert isinstance(method, FewShotSMIS)
    side = method.generator.image_size
    facts = {"method": "FewShotSMIS", "images": f"{side} x {side}", "classes": space.num_classes}
    told = about(method, file or FEWSHOT_SHIPPED, card, facts, file is None)
    return Scribbler(told, method.to(device), space)


def load_dragger(file: str | None, device: torch.device) -> Dragger:
    """A model of the Drag tab; the shipped one without a file."""
    method = load_editor(file or LAYOUT_SHIPPED)
    side = method.generator.image_size
    facts = {"method": "UserControllableLT", "images": f"{side} x {side}"}
    card = {} if file and file.endswith(".ckpt") else read_card(find_editor(file or LAYOUT_SHIPPED))
    told = about(method, file or LAYOUT_SHIPPED, card, facts, file is None)
    canvas = Canvas.of(method.to(device).requires_grad_(False))
    loop = ClosedLoop(method, canvas)
    return Dragger(told, canvas, method, loop, min(canvas.size, method.reach))


def load(
    file: str, kind: type[CLVAE | FewShotSMIS]
) -> tuple[CLVAE | FewShotSMIS, LabelSpace, dict[str, Any]]:
    """A method of a kind, its classes and its card, from any supported file."""
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
    return method, space_of(card, method, file), card


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
