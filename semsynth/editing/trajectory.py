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
class Step:
    """One step: its kind, its cause as JSON values, and its latents (1, num_ws, w_dim)."""

    kind: str
    details: dict[str, Any]
    w_plus: Tensor


def write_trajectory(path: Path, canvas: Canvas, steps: Sequence[Step]) -> None:
    """Write steps as JSON, with latents as base64 of float32, so that they are restored exactly."""
    content = {
        "format": FORMAT,
        "prior": fingerprint(canvas.generator),
        "canvas_size": canvas.size,
        "steps": [
            {"kind": step.kind, **step.details, "w_plus": encode(step.w_plus)} for step in steps
        ],
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
    shape = 1, canvas.generator.num_ws, canvas.generator.w_dim
    device = canvas.generator.mean_latent.device
    steps = []
    entries = content.get("steps")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or not {"kind", "w_plus"} <= entry.keys():
            raise EditError(f"A step of the trajectory in {path} has no kind or no latents.")
        kind, w_plus = entry.pop("kind"), decode(entry.pop("w_plus"), shape)
        steps.append(Step(kind, entry, w_plus.to(device)))
    if not steps:
        raise EditError(f"The trajectory in {path} has no step.")
    return steps


def encode(w_plus: Tensor) -> str:
    """Base64 of latents as little-endian float32."""
    return base64.b64encode(w_plus.float().cpu().numpy().astype("<f4").tobytes()).decode()


def decode(text: str, shape: tuple[int, ...]) -> Tensor:
    """Latents of a shape from ``encode``."""
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(shape)
    except (binascii.Error, TypeError, ValueError) as error:
        raise EditError(f"Latents in the trajectory are damaged: {error}") from error
    if not np.isfinite(values).all():
        raise EditError("Latents in the trajectory are NaN or infinite.")
    return torch.from_numpy(values.astype(np.float32))
