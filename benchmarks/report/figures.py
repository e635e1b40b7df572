"""Curves and pictures of the report, as data addresses, so that the page needs no other file."""

import base64
import csv
import io
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.results import Row
from benchmarks.rows import Entry, label

GRIDS = {
    "test_samples": "Many images of one mask: mask, real image, samples.",
    "test_one_class": "The codes of the largest class resampled, all others fixed.",
    "test_coarsest_level": "The codes of the coarsest level resampled, all others fixed.",
    "test_finest_level": "The codes of the finest level resampled, all others fixed.",
}
DURING_TRAINING = re.compile(r"samples_\d+")
INK = "#808080"  # readable on white and on black


class Curves(NamedTuple):
    """Training curves as a picture, and the colour of each label."""

    picture: str
    key: dict[str, str]


class Picture(NamedTuple):
    """A picture that a run left, with its caption: as a data address, or where it is."""

    name: str
    address: str
    caption: str


def curves(rows: Sequence[Row], wanted: Sequence[str]) -> Curves | None:
    """Training curves of all runs, a panel for each wanted value with more than one point."""
    logs = [(label(row), read_log(Path(row["run_dir"]))) for row in rows if "run_dir" in row]
    long = {name for _, log in logs for name, points in log.items() if len(points) > 1}
    names = [name for name in dict.fromkeys(wanted) if name in long][:6]
    if not names:
        return None
    series = [(title, log) for title, log in logs if log.keys() & set(names)]
    labels = list(dict.fromkeys(title for title, _ in series))
    colours = {title: mpl.colormaps["tab10"](i % 10) for i, title in enumerate(labels)}
    lines = (len(names) + 2) // 3
    figure = Figure(figsize=(13, 2.6 * lines + 0.5))
    axes = list(figure.subplots(lines, 3, squeeze=False).flat)
    for axis, name in zip(axes, names, strict=False):
        for title, log in series:
            if name in log:
                points = zip(*log[name], strict=True)
                axis.plot(*points, color=colours[title], marker="o", ms=3, lw=1.2, alpha=0.85)
        axis.set_title(name, fontsize=10, color=INK)
        axis.grid(alpha=0.25, color=INK)
        axis.tick_params(colors=INK, labelsize=8)
        axis.set_facecolor("none")
        axis.spines[:].set_color(INK)
    for axis in axes[len(names) :]:
        axis.remove()
    figure.supxlabel("step", color=INK, fontsize=9)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, transparent=True)
    key = {title: mpl.colors.to_hex(colour) for title, colour in colours.items()}
    return Curves(as_data(buffer.getvalue(), "png"), key)


def read_log(run_dir: Path) -> dict[str, list[tuple[float, float]]]:
    """Logged values of a training, as (step, value), from the CSV files of all its starts."""
    log: dict[str, dict[float, float]] = {}
    files = run_dir.glob("logs/fit*/metrics.csv")
    for file in sorted(files, key=lambda path: (len(path.parent.name), path.parent.name)):
        with file.open(newline="", errors="replace") as opened:
            for line in csv.DictReader(opened):
                with suppress(AttributeError, KeyError, TypeError, ValueError):  # a damaged line
                    for name, value in line.items():
                        if name.startswith(("train/", "val/")) and value:
                            log.setdefault(name, {})[float(line["step"])] = float(value)
    return {name: sorted(values.items()) for name, values in log.items()}


def as_data(content: bytes, kind: str) -> str:
    """An image as a data address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def as_webp(file: Path) -> str:
    """A picture as a data address, a tenth of the size."""
    buffer = io.BytesIO()
    with Image.open(file, formats=["PNG"]) as image:
        image.convert("RGB").save(buffer, "WEBP", quality=80)
    return as_data(buffer.getvalue(), "webp")


def pictures(line: Entry, output: Path) -> list[Picture]:
    """The pictures of a line's first run that has some, but those of its training.

    The first is in the page, the others are linked. Any method may leave ``images/NAME.png``;
    ``images/NAME.txt`` is its caption.
    """
    for row in line.rows:
        images = Path(row.get("run_dir", "")) / "images"
        names = {f.stem for f in images.glob("*.png") if not DURING_TRAINING.fullmatch(f.stem)}
        ordered = (*(n for n in GRIDS if n in names), *sorted(names - GRIDS.keys()))
        found: list[Picture] = []
        for name in ordered:
            file, text = images / f"{name}.png", images / f"{name}.txt"
            words = name.removeprefix("test_").replace("_", " ").capitalize() + "."
            caption = text.read_text().strip() if text.is_file() else GRIDS.get(name, words)
            address = os.path.relpath(file, output) if found else as_webp(file)
            found.append(Picture(name, address, caption))
        if found:
            return found
    return []
