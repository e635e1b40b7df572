"""The report of a benchmark: one HTML file with tables, curves and pictures, read from files only.

``python -m benchmarks.report [--output DIR]`` writes ``report.html`` and ``report.md`` again from
what ``benchmarks.run`` left in ``DIR``. It needs no network, and neither does the page.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import jinja2
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.report.figures import curves, pictures
from benchmarks.report.tables import COSTS, links, tables
from benchmarks.results import Row, latest_rows
from benchmarks.rows import arrow, entries, label, written
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
    """Write ``report.html`` and ``report.md`` of a directory with ``results.jsonl``; print it."""
    rows = latest_rows(output)
    text = markdown(rows, title)
    write_text(output / "report.md", text)
    file = output / "report.html"
    write_text(file, page(rows, title, output))
    console = Console()
    console.width = max(console.width, 110)  # names in full, also in a file
    console.print(Markdown(text))
    console.print(f"Report: {file}")
    return file


def page(rows: Sequence[Row], title: str = "", output: Path = Path()) -> str:
    """The page as HTML; its links are relative to a directory."""
    lines = entries([row for row in rows if "scores" in row])
    content = {"rows": rows, "lines": lines, "tables": tables(rows), "curves": curves(rows)}
    return TEMPLATES.get_template("page.html").render(content, title=title, output=output)


def markdown(rows: Sequence[Row], title: str = "") -> str:
    """The tables as Markdown, the best values in bold."""
    return TEMPLATES.get_template("page.md").render(tables=tables(rows), title=title)
