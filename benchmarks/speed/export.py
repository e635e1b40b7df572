"""Time an export against a loop that makes one labelled image at a time.

Run: ``python -m benchmarks.speed.export``. Both draw the same samples of the shipped prior, label
them from one labelled image, and write PNG files; the loop is what a script does: one sample, its
label map, two files. Both must give the same label maps before they are timed in turns.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.speed.compare import Function, interleaved
from semsynth.export.filters import Thresholds
from semsynth.export.job import Judged, Plan, run
from semsynth.export.sources import SampleSource
from semsynth.export.writers import FolderWriter
from semsynth.methods import FewShotSMIS
from semsynth.networks.noise import sample_seed

NUM_CLASSES, BATCH = 4, 32


def build_source(device: str, prior: str = "toy_portrait") -> SampleSource:
    """The prior, which labels by one of its samples that is cut into quarters."""
    units, widths = (1, 1, 1, 1), (8, 8, 8, 8)  # the encoder is not used
    method = FewShotSMIS(
        NUM_CLASSES, (64, 64), prior, encoder_units=units, encoder_widths=widths
    ).to(device)
    method.eval()
    w_plus = method.generator.repeat(method.sample_w(sample_seed(1, torch.arange(1)).to(device)))
    mask = torch.arange(NUM_CLASSES, device=device).repeat_interleave(64 // NUM_CLASSES)
    method.learn_shots({"w_plus": w_plus, "mask": mask.expand(1, 64, 64)})
    return SampleSource(method, seed=0, truncation=1.0)


def ours(source: SampleSource, num: int, output: Path) -> list[Tensor]:
    """Export by the library."""
    shutil.rmtree(output, ignore_errors=True)
    plan = Plan(output, num, 0, 256, BATCH, (1.0, 0.0, 0.0), False, NUM_CLASSES)
    with torch.no_grad():
        run(plan, Judged(source, NUM_CLASSES), Thresholds(), FolderWriter(output), (0, 1))
    return []


def loop(source: SampleSource, num: int, output: Path) -> list[Tensor]:
    """Make and write one after the other."""
    for kind in ("images", "labels"):
        (output / kind).mkdir(parents=True, exist_ok=True)
    for i in range(num):
        with torch.no_grad():
            drawn = source(torch.tensor([i]))
        image = drawn.image[0].permute(1, 2, 0).cpu().numpy()
        Image.fromarray(image).save(output / "images" / f"{i:07d}.png")
        label = drawn.mask[0].byte().cpu().numpy()
        Image.fromarray(label).save(output / "labels" / f"{i:07d}.png")
    return []


def share_of_equal_pixels(a: Path, b: Path) -> float:
    """Share of pixels that are equal in the label maps of two folders."""
    files = sorted((a / "labels").iterdir())
    pairs = [
        [np.asarray(Image.open(file, formats=["PNG"])) for file in (f, b / "labels" / f.name)]
        for f in files
    ]
    return float(np.mean([(one == other).mean() for one, other in pairs]))


def main(args: Sequence[str] | None = None) -> None:
    """Print images a second of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.speed.export")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--num", type=int, default=256, help="images (default: 256)")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args(args)
    source = build_source(options.device)
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place, name) for name in ("ours", "loop")]
        functions: dict[str, Function] = {
            "ours": partial(ours, source, options.num, folders[0]),
            "loop": partial(loop, source, options.num, folders[1]),
        }
        for function in functions.values():
            function()
        equal = share_of_equal_pixels(folders[0] / "train", folders[1])
        if equal < 0.999:
            raise SystemExit(f"Only {100 * equal:.2f} % of the labels agree; nothing is timed.")
        times = interleaved(functions, options.repetitions, options.device)
    speeds = [1000 * options.num / milliseconds for milliseconds in times]
    sys.stdout.write(
        f"{options.device}, {torch.get_num_threads()} threads, {options.num} labelled images of "
        f"64x64: export {speeds[0]:.1f} images/s, one at a time {speeds[1]:.1f} images/s, ratio "
        f"{speeds[0] / speeds[1]:.2f}\n"
    )


if __name__ == "__main__":
    main()
