"""The steps of a session, and the JSON file that stores them with their latents."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semsynth.editing.canvas import Canvas
from semsynth.errors import UserError
from semsynth.files import read_json, write_text
from semsynth.networks.motion.marks import EditError
from semsynth.weights.priors import fingerprint

FORMAT = "semsynth trajectory 1"


@dataclass(frozen=True)
class Held:
    """What the image shows outside of a region.

    Attributes:
        w_plus: Its latents (1, num_ws, w_dim).
        region: The rest of the canvas (size, size), bool, which shows other latents.
    """

    w_plus: Tensor
    region: Tensor


@dataclass(frozen=True)
class Step:
    """One step: its kind, its cause as JSON values, and its latents (1, num_ws, w_dim).

    ``held`` is what its image shows outside of the regions of edits, the lowest layer first.
    """

    kind: str
    details: dict[str, Any]
    w_plus: Tensor
    held: tuple[Held, ...] = ()

    @property
    def layers(self) -> list[Tensor]:
        """Latents of all layers, the lowest first."""
        return [*(layer.w_plus for layer in self.held), self.w_plus]

    def shown_in(self, region: Tensor) -> Tensor:
        """The latents that most of a region (size, size), bool, shows."""
        number = torch.zeros_like(region, dtype=torch.int64)
        for i, layer in enumerate(self.held, 1):
            number[layer.region] = i
        return self.layers[int(number[region].mode().values)]


def held_canvas(canvas: Canvas, held: Sequence[Held]) -> Canvas:
    """The canvas on which the latents of a step are drawn."""
    for layer in held:
        canvas = canvas.held(layer.w_plus, layer.region[None, None])
    return canvas


def write_trajectory(path: Path, canvas: Canvas, steps: Sequence[Step]) -> None:
    """Write steps as JSON, with latents as base64 of float32, so that they are restored exactly."""
    content = {
        "format": FORMAT,
        "prior": fingerprint(canvas.generator),
        "canvas_size": canvas.size,
        "steps": [{"kind": step.kind, **step.details, **encode_layers(step)} for step in steps],
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_trajectory(path: Path, canvas: Canvas) -> list[Step]:
    """Read the steps of a JSON file, to be continued on a canvas.

    Raises:
        EditError: The file is not a trajectory, or one of another generator or canvas.
    """
    try:
        content = read_json(path)
    except UserError as error:
        raise EditError(str(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise EditError(f"{path} is not a semsynth trajectory.")
    if content.get("prior") != fingerprint(canvas.generator):
        raise EditError(
            f"The trajectory in {path} was made with another generator, of fingerprint "
            f"{str(content.get('prior'))[:12]}; load that prior first."
        )
    if content.get("canvas_size") != canvas.size:
        raise EditError(
            f"The marks in {path} are on a canvas of {content.get('canvas_size')} pixels, and this "
            f"one has {canvas.size}."
        )
    steps = []
    entries = content.get("steps")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or not {"kind", "w_plus"} <= entry.keys():
            raise EditError(f"A step of the trajectory in {path} has no kind or no latents.")
        layers = [{"w_plus": entry.pop("w_plus"), "region": ""}, *entry.pop("held", [])]
        steps.append(Step(entry.pop("kind"), entry, *decode_layers(layers, canvas)))
    if not steps:
        raise EditError(f"The trajectory in {path} has no step.")
    return steps


def encode_layers(step: Step) -> dict[str, Any]:
    """Latents of a step in base64, and with regions ``held``, its layers below."""
    held = [
        {"w_plus": encode(layer.w_plus), "region": encode_region(layer.region)}
        for layer in step.held
    ]
    return {"w_plus": encode(step.w_plus)} | ({"held": held} if held else {})


def decode_layers(layers: Sequence[Any], canvas: Canvas) -> tuple[Tensor, tuple[Held, ...]]:
    """Latents of a step, the first of its layers, and what it holds."""
    shape = 1, canvas.generator.num_ws, canvas.generator.w_dim
    device = canvas.generator.mean_latent.device
    try:
        codes = [decode(layer["w_plus"], shape).to(device) for layer in layers]
        regions = [decode_region(layer["region"], canvas.size) for layer in layers[1:]]
    except (KeyError, TypeError) as error:
        raise EditError("A held layer in the trajectory has no latents or no region.") from error
    pairs = zip(codes[1:], regions, strict=True)
    return codes[0], tuple(Held(code, region.to(device)) for code, region in pairs)


def encode(w_plus: Tensor) -> str:
    """Base64 of latents as little-endian float32."""
    return base64.b64encode(w_plus.float().cpu().numpy().astype("<f4").tobytes()).decode()


def encode_region(region: Tensor) -> str:
    """Base64 of a region's bits, row by row."""
    return base64.b64encode(np.packbits(region.cpu().numpy()).tobytes()).decode()


def decode_region(text: str, size: int) -> Tensor:
    """A region (size, size), bool, from ``encode_region``."""
    try:
        bits = np.unpackbits(np.frombuffer(base64.b64decode(text, validate=True), np.uint8))
        region = bits[: size * size].reshape(size, size)
    except (binascii.Error, TypeError, ValueError) as error:
        raise EditError(f"A region in the trajectory is damaged: {error}") from error
    return torch.from_numpy(region.astype(np.bool_))


def decode(text: str, shape: tuple[int, ...]) -> Tensor:
    """Latents of a shape from ``encode``."""
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(shape)
    except (binascii.Error, TypeError, ValueError) as error:
        raise EditError(f"Latents in the trajectory are damaged: {error}") from error
    if not np.isfinite(values).all():
        raise EditError("Latents in the trajectory are NaN or infinite.")
    return torch.from_numpy(values.astype(np.float32))
