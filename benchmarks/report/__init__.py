"""The report of a benchmark: one HTML file with tables, curves and pictures, read from files only.

``python -m benchmarks.report [--output DIR]`` writes ``report.html`` and ``report.md`` again from
what ``benchmarks.run`` left in ``DIR``. It needs no network, and neither does the page.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import jinja2
from rich import table as rich_table
from rich.console import Console

from benchmarks.report.figures import curves, pictures
from benchmarks.report.rows import arrow, label, written
from benchmarks.report.tables import COSTS, Table, cost_lines, links, tables
from benchmarks.results import Row, latest_rows
from semsynth.files import write_text

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=jinja2.select_autoescape(["html"]),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals |= {
    **{"arrow": arrow, "label": label, "links": links, "mean": mean, "written": written},
    **{"costs": COSTS, "pictures": pictures},
}


def write(output: Path, title: str) -> Path:
    """Write ``report.html`` and ``report.md``, and print the tables.

    Args:
        output: Directory with ``results.jsonl``.
        title: Title of the page.
    """
    rows = latest_rows(output)
    print_tables(rows)
    write_text(output / "report.md", markdown(rows, title))
    file = output / "report.html"
    write_text(file, page(rows, title, output))
    Console().print(f"Report: {file}")
    return file


def page(rows: Sequence[Row], title: str = "", output: Path = Path()) -> str:
    """The page as HTML; its links are relative to a directory."""
    content = {"tables": tables(rows), "costs_of": cost_lines(rows), "curves": curves(rows)}
    template = TEMPLATES.get_template("page.html")
    return template.render(content, rows=rows, title=title, output=output, summary=summary(rows))


def markdown(rows: Sequence[Row], title: str = "") -> str:
    """The tables as Markdown, the best values in bold."""
    return TEMPLATES.get_template("page.md").render(tables=tables(rows), title=title)


def print_tables(rows: Sequence[Row]) -> None:
    """Print the tables to the terminal."""
    console = Console()
    console.width = max(console.width, 110)  # names in full, also in a file
    for table in tables(rows):
        for note in table.notes:
            console.print(note)
        console.print(for_terminal(table))


def for_terminal(table: Table) -> rich_table.Table:
    """A table as rich prints it."""
    title = f"{table.caption}; an oracle's scores are the best that can be reached"
    shown = rich_table.Table(title=title)
    shown.add_column("run", no_wrap=True)
    for name in table.names:
        shown.add_column(f"{name} {arrow(name)}", justify="right")
    for line in table.lines:
        failed = len(line.failed) == len(line.rows)
        values = ["failed" if failed else written(line.values(name)) for name in table.names]
        style = "italic" if line.oracle else "red" if failed else None
        shown.add_row(line.label, *values, style=style)
    return shown


def summary(rows: Sequence[Row]) -> str:
    """How many runs there are, and how many of them failed."""
    runs = [row for row in rows if not row.get("oracle")]
    failed = sum("scores" not in row for row in runs)
    commits = ", ".join(sorted({str(row["commit"]) for row in runs if "commit" in row}))
    words = [f"{len(runs)} runs", failed and f"{failed} failed", commits and f"commit {commits}"]
    return " · ".join(word for word in words if word)
