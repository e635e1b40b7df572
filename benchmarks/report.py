"""The report of a benchmark: one HTML file with tables, curves and pictures, read from files only.

``python -m benchmarks.report [--output DIR]`` writes it anew from what ``benchmarks.run`` left.
"""

import argparse
import base64
import html
import io
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.results import (
    Row,
    comparable_groups,
    differing,
    read_results,
    require_comparable,
    version_notes,
)
from semsynth.protocol import describe

LOWER_IS_BETTER = ("FID", "KID", "fd_", "kd_", "top1_", "mOCD_", "reconstruction_", "drag_error")
SPREADS = ("_std", "_stderr")  # of the score before
GRIDS = {
    "test_samples": "Many images of one mask: mask, real image, samples.",
    "test_one_class": "The codes of the largest class drawn anew, all others fixed.",
    "test_coarsest_level": "The codes of the coarsest level drawn anew, all others fixed.",
    "test_finest_level": "The codes of the finest level drawn anew, all others fixed.",
}
STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr.oracle { font-style: italic; } tr.failed td { color: #c0392b; } td.best { font-weight: 700; }
figure { margin: 1rem 0 2rem; } figure img { width: 100%; image-rendering: pixelated; }
figcaption, .note { opacity: .75; } img.curve { max-width: 100%; }
"""


def label(row: Row) -> str:
    """What a reader calls a run: the method, and what it goes without."""
    if row.get("oracle"):
        return "oracle (renderer)"
    varied = {key.split(".")[-1]: row["parameters"][key] for key in row["varied"]}
    off = [name.replace("_", "-") for name, value in varied.items() if value is False]
    others = [f"{name}={v}" for name, v in varied.items() if not isinstance(v, bool)]
    without = f"without {' and '.join(off)}" if off else "full"
    return ", ".join([f"{method_of(row)} {without}", *others])


def method_of(row: Row) -> str:
    """Class name of a run's method."""
    file = Path(row.get("run_dir", "")) / "config.yaml"
    if not file.is_file():
        return "run"
    return str(yaml.safe_load(file.read_text())["model"]["class_path"]).rsplit(".", 1)[-1]


def read_rows(output: Path) -> list[Row]:
    """The last row of each run, oracles at the end."""
    rows = {row["run"]: row for row in read_results(output)}
    return sorted(rows.values(), key=lambda row: bool(row.get("oracle")))


def columns(rows: list[Row]) -> list[str]:
    """Names of the scores in the order in which they were measured.

    Those of the real images are left out: they are the same for all runs, and the oracle's.
    """
    names = dict.fromkeys(name for row in rows for name in row.get("scores", {}))
    return [name for name in names if not name.endswith(("_real", *SPREADS))]


def best(rows: list[Row], name: str) -> float | None:
    """Best value of a score over the methods; the oracle does not compete.

    Raises:
        ProtocolError: The rows were not measured by one protocol.
    """
    require_comparable(rows)
    values = [
        r["scores"][name] for r in rows if name in r.get("scores", {}) and not r.get("oracle")
    ]
    if not values:
        return None
    return min(values) if name.startswith(LOWER_IS_BETTER) else max(values)


def print_tables(rows: list[Row]) -> None:
    """Print a table to the terminal for each protocol by which rows were measured."""
    groups = comparable_groups(rows)
    console = Console()
    console.width = max(console.width, 110)  # names in full, also in a file
    for group in groups:
        for note in notes(group, groups[0]):
            console.print(note)
        console.print(table_of(group))


def table_of(rows: list[Row]) -> Table:
    """A table for the terminal."""
    require_comparable(rows)
    table = Table(title="Test scores; the oracle's are the best that can be reached")
    table.add_column("run", no_wrap=True)
    names = columns(rows)
    for name in names:
        table.add_column(f"{name} {arrow(name)}", justify="right")
    for row in rows:
        scores = row.get("scores", {})
        values = [f"{scores[n]:.4f}" if n in scores else "failed" for n in names]
        table.add_row(label(row), *values, style="italic" if row.get("oracle") else None)
    return table


def notes(group: list[Row], first: list[Row]) -> list[str]:
    """Why the rows of a group stand apart from the first group, and what else to know of them."""
    found = []
    if group is not first:
        keys = describe(differing(first[0], group[0]))
        found.append(f"Not to be compared with the first table: {keys}.")
    if versions := version_notes(group):
        found.append(f"Measured by different versions: {', '.join(versions)}.")
    return found


def html_tables(rows: list[Row]) -> str:
    """A table for each protocol by which rows were measured, with what sets it apart."""
    groups = comparable_groups(rows)
    parts = []
    for group in groups:
        parts += [f'<p class="note">{html.escape(note)}</p>' for note in notes(group, groups[0])]
        parts.append(html_table(group))
    return "".join(parts)


def arrow(name: str) -> str:
    """Whether a score is better when it is lower or higher."""
    return "↓" if name.startswith(LOWER_IS_BETTER) else "↑"


def html_table(rows: list[Row]) -> str:
    """The table, its best values in bold."""
    names = columns(rows)
    head = "".join(f"<th>{html.escape(n)} {arrow(n)}</th>" for n in names) + "<th>seconds</th>"
    return f"<table><tr><th>run</th>{head}</tr>{''.join(map(html_row(rows, names), rows))}</table>"


def html_row(rows: list[Row], names: list[str]) -> Any:
    """A function that writes one row of the table."""
    winners = {name: best(rows, name) for name in names}

    def write_row(row: Row) -> str:
        kind = "oracle" if row.get("oracle") else "failed" if "error" in row else ""
        cells = [f"<td>{html.escape(label(row))}</td>"]
        if "error" in row:
            cells.append(f'<td colspan="{len(names)}">{html.escape(row["error"])}</td>')
        else:
            for name in names:
                value = row["scores"].get(name)
                mark = ' class="best"' if value == winners[name] and kind == "" else ""
                cells.append(f"<td{mark}>{value:.4f}</td>" if value is not None else "<td></td>")
        cells.append(f"<td>{row.get('seconds', '')}</td>")
        return f'<tr class="{kind}">{"".join(cells)}</tr>'

    return write_row


def curves(rows: list[Row]) -> str:
    """Training curves of all runs, one panel for each logged value, as an inline image."""
    series = {label(row): read_log(Path(row["run_dir"])) for row in rows if "run_dir" in row}
    names = sorted({name for log in series.values() for name in log if not name.endswith("_real")})
    if not names:
        return ""
    count = len(names)
    figure, axes = plt.subplots((count + 2) // 3, 3, figsize=(13, 2.8 * ((count + 2) // 3)))
    for axis in axes.flat[count:]:
        axis.remove()
    for axis, name in zip(axes.flat, names, strict=False):
        for title, log in series.items():
            if name in log:
                marker = "o" if name.startswith("val/") else None
                axis.plot(*zip(*log[name], strict=True), label=title, marker=marker, ms=3, lw=1.2)
        axis.set_title(name, fontsize=10)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=7)
    figure.supxlabel("step")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return f'<img class="curve" alt="training curves" src="{as_data(buffer.getvalue())}">'


def read_log(run_dir: Path) -> dict[str, list[tuple[float, float]]]:
    """Logged values of a training, as (step, value), from its CSV files."""
    log: dict[str, list[tuple[float, float]]] = {}
    for file in sorted(run_dir.glob("logs/fit*/metrics.csv")):
        header, *lines = (line.split(",") for line in file.read_text().splitlines())
        for line in lines:
            values = dict(zip(header, line, strict=True))
            for name in header:
                if name.startswith(("train/", "val/")) and values[name]:
                    log.setdefault(name, []).append((float(values["step"]), float(values[name])))
    return log


def as_data(png: bytes) -> str:
    """A PNG as a data address, so that the page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def pictures(row: Row) -> str:
    """Sample grids of a run."""
    figures = []
    for name, caption in GRIDS.items():
        file = Path(row["run_dir"]) / "images" / f"{name}.png"
        if file.is_file():
            image = f'<img alt="{name}" src="{as_data(file.read_bytes())}">'
            figures.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    return f"<h3>{html.escape(label(row))}</h3>{''.join(figures)}" if figures else ""


def write(output: Path, title: str) -> Path:
    """Write ``report.html`` and print the table.

    Args:
        output: Directory with ``results.jsonl``.
        title: Title of the page.
    """
    rows = read_rows(output)
    print_tables(rows)
    body = [
        f"<h1>semsynth benchmark: {html.escape(title)}</h1>",
        html_tables(rows),
        '<p class="note">Bold: best of the methods. The oracle renders the test masks with '
        "appearances drawn anew; its Fréchet distance is that of two disjoint sets of real images. "
        "fd_toy and diversity_toy use the features of the shipped toy segmenter; they compare runs "
        "of this table, not papers. Without class-wise and layer-wise codes, CLVAE is the "
        "GauGAN-VAE baseline.</p>",
        "<h2>Training</h2>",
        curves(rows),
        "<h2>Pictures</h2>",
        *(pictures(row) for row in rows if "run_dir" in row),
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    page = f'<!doctype html><html lang="en">{head}<body>{"".join(body)}</body></html>'
    file = output / "report.html"
    temporary = file.with_name(".report.html.part")
    temporary.write_text(page)
    temporary.replace(file)
    Console().print(f"Report: {file}")
    return file


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.report")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"))
    write(parser.parse_args().output, title="benchmark")
