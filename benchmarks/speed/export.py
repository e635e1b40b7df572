"""An export against a loop that makes one labelled image at a time.

Both draw the same samples of the shipped prior, label them from one labelled image, and write PNG
files; the loop is what a script does: one sample, its label map, two files.
"""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.compare import Comparison
from semsynth.data.decode import read_mask
from semsynth.export.filters import Thresholds
from semsynth.export.job import Judged, Plan, run
from semsynth.export.sources import SampleSource
from semsynth.export.writers import FolderWriter
from semsynth.images import save_mask, save_png
from semsynth.methods import FewShotSMIS
from semsynth.networks.noise import sample_seed

NUM_CLASSES, BATCH = 4, 32


def exports(device: str, _: str, num: int = 128) -> Iterator[Comparison]:
    """Exports to a folder, whose label maps must agree in all but 0.1 % of the pixels."""
    source = build_source(device)
    with tempfile.TemporaryDirectory() as place:
        folders = Path(place, "ours"), Path(place, "loop")
        ours = partial(export, source, num, folders[0])
        loop = partial(one_by_one, source, num, folders[1])
        ours()
        loop()
        equal = share_of_equal_pixels(folders[0] / "train", folders[1])
        if equal < 0.999:
            raise AssertionError(f"Only {100 * equal:.2f} % of the labels agree.")
        yield Comparison(f"{num} labelled images of 64x64", {"ours": ours, "one at a time": loop})


def build_source(device: str, prior: str = "toy_portrait") -> SampleSource:
    """The prior, which labels by one of its samples that is cut into quarters."""
    unused: dict[str, Any] = {"encoder_units": (1, 1, 1, 1), "encoder_widths": (8, 8, 8, 8)}
    method = FewShotSMIS(NUM_CLASSES, (64, 64), prior, **unused).to(device).eval()
    w_plus = method.generator.repeat(method.sample_w(sample_seed(1, torch.arange(1)).to(device)))
    mask = torch.arange(NUM_CLASSES, device=device).repeat_interleave(64 // NUM_CLASSES)
    method.learn_shots({"w_plus": w_plus, "mask": mask.expand(1, 64, 64)})
    return SampleSource(method, seed=0, truncation=1.0)


@torch.no_grad()
def export(source: SampleSource, num: int, output: Path) -> list[Tensor]:
    """Export by the library."""
    shutil.rmtree(output, ignore_errors=True)
    plan = Plan(output, num, 0, 256, BATCH, (1.0, 0.0, 0.0), False, NUM_CLASSES)
    run(plan, Judged(source, NUM_CLASSES), Thresholds(), FolderWriter(output), (0, 1))
    return []


@torch.no_grad()
def one_by_one(source: SampleSource, num: int, output: Path) -> list[Tensor]:
    """Make and write one after the other."""
    for i in range(num):
        drawn = source(torch.tensor([i]))
        save_png(drawn.image[0], output / f"images/{i:07d}.png")
        save_mask(drawn.mask[0], output / f"labels/{i:07d}.png")
    return []


def share_of_equal_pixels(a: Path, b: Path) -> float:
    """Share of pixels that are equal in the label maps of two folders."""
    one, other = (
        torch.stack([read_mask(file) for file in sorted((folder / "labels").iterdir())])
        for folder in (a, b)
    )
    return float((one == other).float().mean())
