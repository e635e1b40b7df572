"""The report of a benchmark: one HTML file with tables, curves and pictures, read from files only.

``python -m benchmarks.report [--output DIR]`` writes ``report.html`` and ``report.md`` anew from
what ``benchmarks.run`` left in ``DIR``. It needs no network, and neither does the page.
"""

import argparse
import html
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.report.figures import curves, pictures
from benchmarks.report.rows import arrow, columns, entries, written
from benchmarks.report.tables import caption, cost_table, html_tables, markdown, notes
from benchmarks.results import (
    Row,
    comparable_groups,
    latest_rows,
    replace_text,
    require_comparable,
)

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 16%, transparent);
  --accent: light-dark(#0b62c4, #7db4ff); --soft: light-dark(#f5f7fa, #1b1e24); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1.2rem;
  background: light-dark(#fff, #121418); color: light-dark(#1a1d21, #e4e7eb); }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; }
h3 { margin: 1.6rem 0 .4rem; } a { color: var(--accent); text-decoration: none; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap;
  font-size: .92rem; }
th { background: var(--soft); font-weight: 600; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; }
td:first-child { background: light-dark(#fff, #121418); }
tr.oracle { font-style: italic; } tr.failed td { color: light-dark(#b3261e, #ff8a80); }
td.best { font-weight: 700; color: var(--accent); }
td.paper, th.paper, tr.paper td { opacity: .7; border-left: 1px dotted var(--line); }
td[colspan] { text-align: left; white-space: normal; }
td.heat { background: color-mix(in srgb, #2e9e5b var(--heat), transparent); }
figure { margin: 1rem 0 1.6rem; }
figure img { width: min(100%, 56rem); image-rendering: pixelated; }
figcaption, .note { opacity: .75; margin: .2rem 0; } img.curve { width: 100%; }
details { border-top: 1px solid var(--line); padding: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
"""


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
    table = Table(title=f"{caption(rows)}; an oracle's scores are the best that can be reached")
    table.add_column("run", no_wrap=True)
    names = columns(rows)
    for name in names:
        table.add_column(f"{name} {arrow(name)}", justify="right")
    for line in entries(rows):
        failed = len(line.failed) == len(line.rows)
        values = ["failed" if failed else written(line.values(name)) for name in names]
        style = "italic" if line.oracle else "red" if failed else None
        table.add_row(line.label, *values, style=style)
    return table


def summary(rows: list[Row]) -> str:
    """How many runs there are, and how many of them failed."""
    runs = [row for row in rows if not row.get("oracle")]
    failed = sum("scores" not in row for row in runs)
    commits = ", ".join(sorted({str(row["commit"]) for row in runs if "commit" in row}))
    words = [f"{len(runs)} runs", f"{failed} failed" if failed else "", f"commit {commits}"]
    return " · ".join(word for word in words if word and word != "commit ")


def page(rows: list[Row], title: str, output: Path) -> str:
    """The page as HTML."""
    body = [
        f"<h1>semsynth benchmark: {html.escape(title)}</h1>",
        f'<p class="note">{html.escape(summary(rows))}</p>',
        html_tables(rows, output),
        '<p class="note">Means over seeds, ± their standard deviation; bold: best of the methods. '
        "The oracle renders the test masks with appearances drawn anew; its Fréchet distance is "
        "that of two disjoint sets of real images. Names with toy use the features of a shipped "
        "toy segmenter; they compare runs of one table, not papers. Without class-wise and "
        "layer-wise codes, CLVAE is the GauGAN-VAE baseline.</p>",
        "<h2>Cost</h2>",
        cost_table(rows),
        "<h2>Training</h2>",
        curves(rows),
        "<h2>Pictures</h2>",
        *(pictures(row) for row in rows if "run_dir" in row),
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}<body>{"".join(body)}</body></html>'


def write(output: Path, title: str) -> Path:
    """Write ``report.html`` and ``report.md``, and print the tables.

    Args:
        output: Directory with ``results.jsonl``.
        title: Title of the page.
    """
    rows = latest_rows(output)
    print_tables(rows)
    file = output / "report.html"
    replace_text(output / "report.md", f"# {title}\n\n{markdown(rows)}")
    replace_text(file, page(rows, title, output))
    Console().print(f"Report: {file}")
    return file


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.report")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"))
    options = parser.parse_args()
    write(options.output, title=options.output.name)
