"""Drags of real photos in folders such as DragBench's (Shi et al., CVPR 2024).

``python -m benchmarks.studies.drag_bench --root DIR --prior FILE --output DIR`` inverts the photo
of each folder, tunes the generator to it, and drags its points within its mask. A folder has
``original_image.png`` with ``meta_data.pkl``, a dictionary of ``points``, each handle before its
target, and ``mask``, not 0 where the image may change; or ``points.json`` and ``mask.png``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor

from benchmarks.results import append_result, read_results
from semsynth.cli.edit import build_editor
from semsynth.data.decode import read_image
from semsynth.editing import Edit, Mark, Session
from semsynth.editing.regions import region_of
from semsynth.errors import UserError
from semsynth.files import read_json
from semsynth.images import from_uint8, save_png, to_uint8
from semsynth.inversion import default_recipe, invert, tuning
from semsynth.inversion.stored_codes import choose_distance
from semsynth.inversion.terms import resize
from semsynth.weights.conversion import read_arrays

PHOTO, PICKLE = "original_image.png", "meta_data.pkl"


@dataclass(frozen=True)
class Sample:
    """A photo with what is asked of it.

    Attributes:
        name: The folder, below the root.
        photo: The photo (3, H, W), uint8.
        points: Handles and their targets (K, 2, 2), (x, y) in pixels of the photo.
        mask: What may change (H, W), bool.
    """

    name: str
    photo: Tensor
    points: Tensor
    mask: Tensor


def read_samples(root: Path) -> Iterator[Sample]:
    """The samples of all folders below a root, in order of their names."""
    photos = sorted(root.rglob(PHOTO))
    if not photos:
        raise UserError(f"{root} has no folder with {PHOTO}.")
    for file in photos:
        yield read_sample(file.parent, str(file.parent.relative_to(root)))


def read_sample(folder: Path, name: str) -> Sample:
    """The sample of a folder."""
    photo = read_image(folder / PHOTO)
    if (folder / PICKLE).is_file():
        with (folder / PICKLE).open("rb") as file:
            points, mask = read_meta(file, folder / PICKLE)
    else:
        points = read_json(folder / "points.json")
        mask = read_image(folder / "mask.png").amax(0)
    drags = torch.as_tensor(points, dtype=torch.float32)
    if drags.ndim != 2 or drags.shape[1] != 2 or len(drags) % 2 or not len(drags):
        raise UserError(f"{folder} must list handles, each before its target, got {points!r}.")
    if mask.shape != photo.shape[1:]:
        raise UserError(
            f"The mask of {folder} must have the photo's size {tuple(photo.shape[1:])}, got "
            f"{tuple(mask.shape)}."
        )
    return Sample(name, photo, drags.view(-1, 2, 2), mask > 0)


def read_meta(file: BinaryIO, path: Path) -> tuple[Any, Tensor]:
    """Points and mask of DragBench's pickle."""
    try:
        meta = read_arrays(file)
        return np.asarray(meta["points"], np.float32), torch.from_numpy(np.array(meta["mask"]))
    except Exception as error:  # what a damaged pickle raises is not documented
        raise UserError(f"{path} cannot be read: {error}.") from error


def marks_of(sample: Sample, size: int) -> list[Mark]:
    """The drags of a sample on a canvas."""
    H, W = sample.photo.shape[1:]
    points = (sample.points + 0.5) * (size / torch.tensor([W, H])) - 0.5
    pairs = points.clamp(0, size - 1).flatten(1).tolist()
    return [Mark(x, y, to_x - x, to_y - y) for x, y, to_x, to_y in pairs]


def main(
    root: Path,
    output: Path,
    prior: str,
    closed_loop: bool = True,
    optimise: bool = False,
    steps: int = 500,
    tune: int = 300,
) -> None:
    """Drag the photos of all folders; write pictures and a row for each.

    Args:
        root: Folder of the samples' folders.
        output: Directory.
        prior: A prior of such photos.
        closed_loop: Correct the remaining error.
        optimise: Edit by optimisation.
        steps: Steps of inversion.
        tune: Steps that tune the generator to each photo.
    """
    _, distance = choose_distance("auto", prior, "cpu")
    known = {row["run"] for row in read_results(output)}
    for sample in read_samples(root):
        if sample.name in known:
            continue
        editor, canvas = build_editor(prior, None, optimise, closed_loop, torch.device("cpu"))
        G = canvas.generator
        photo = resize(from_uint8(sample.photo)[None], G.image_size)
        found = invert(G, photo, replace(default_recipe(steps), noise="stored"), distance)
        if tune:
            tuning.apply_factors(G, tuning.tune_to(G, found, 0, photo, distance, tune))
        session = Session.from_codes(canvas, editor, found.w_plus[0])
        before, edit = session.image(), dragged(session, sample)
        missed = [math.dist(r.achieved[:2], r.requested[:2]) for r in edit.reports]
        scores = {"distance_features": sum(missed) / len(missed), "inversion_mse": float(found.mse)}
        pictures = torch.cat([photo[0], before, edit.image], 2)
        save_png(to_uint8(pictures), output / f"{sample.name.replace('/', '_')}.png")
        append_result(output, {"run": sample.name, "scores": scores, "protocol": None})
        Console().print(sample.name, scores)


def dragged(session: Session, sample: Sample) -> Edit:
    """The edit that a sample asks for, within its mask and around its handles."""
    size = session.canvas.size
    marks = marks_of(sample, size)
    region = region_of(255 * sample.mask.byte().expand(3, -1, -1), size)
    for mark in marks:
        region[round(mark.y), round(mark.x)] = True
    return session.commit(marks, region)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
