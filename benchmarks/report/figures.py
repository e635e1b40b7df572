"""Curves and pictures of the report, as data addresses, so that the page needs no other file."""

import base64
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.report.tables import NOT_SHOWN
from benchmarks.results import Row
from benchmarks.rows import label

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
    """A picture that a run left, with its caption."""

    name: str
    picture: str
    caption: str


def curves(rows: Sequence[Row]) -> Curves | None:
    """Training curves of all runs, one panel for each logged value."""
    series = [(label(row), read_log(Path(row["run_dir"]))) for row in rows if "run_dir" in row]
    logged = {name for _, log in series for name in log}
    names = sorted(n for n in logged if not n.endswith(NOT_SHOWN) and "_class_" not in n)
    if not names:
        return None
    labels = list(dict.fromkeys(title for title, _ in series))
    colours = {title: mpl.colormaps["tab10"](i % 10) for i, title in enumerate(labels)}
    lines = (len(names) + 2) // 3
    figure = Figure(figsize=(13, 2.6 * lines + 0.5))
    axes = list(figure.subplots(lines, 3, squeeze=False).flat)
    for axis, name in zip(axes, names, strict=False):
        for title, log in series:
            if name in log:
                marker = "o" if name.startswith("val/") else None
                points = zip(*log[name], strict=True)
                axis.plot(*points, color=colours[title], marker=marker, ms=3, lw=1.2, alpha=0.85)
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
    figure.savefig(buffer, format="png", dpi=110, transparent=True)
    key = {title: mpl.colors.to_hex(colour) for title, colour in colours.items()}
    return Curves(as_data(buffer.getvalue()), key)


def read_log(run_dir: Path) -> dict[str, list[tuple[float, float]]]:
    """Logged values of a training, as (step, value), from the CSV files of all its starts."""
    log: dict[str, dict[float, float]] = {}
    files = run_dir.glob("logs/fit*/metrics.csv")
    for file in sorted(files, key=lambda path: (len(path.parent.name), path.parent.name)):
        with file.open(newline="") as opened:
            for line in csv.DictReader(opened):
                for name, value in line.items():
                    if name.startswith(("train/", "val/")) and value:
                        log.setdefault(name, {})[float(line["step"])] = float(value)
    return {name: sorted(values.items()) for name, values in log.items()}


def as_data(png: bytes) -> str:
    """A PNG as a data address."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def pictures(row: Row) -> list[Picture]:
    """The pictures of a run but those of its training.

    Any method may leave ``images/NAME.png``; ``images/NAME.txt`` is its caption.
    """
    images = Path(row.get("run_dir", "")) / "images"
    names = {f.stem for f in images.glob("*.png") if not DURING_TRAINING.fullmatch(f.stem)}
    found = []
    for name in (*(n for n in GRIDS if n in names), *sorted(names - GRIDS.keys())):
        words = name.removeprefix("test_").replace("_", " ").capitalize() + "."
        text = images / f"{name}.txt"
        caption = text.read_text().strip() if text.is_file() else GRIDS.get(name, words)
        found.append(Picture(name, as_data((images / f"{name}.png").read_bytes()), caption))
    return found
