"""The report of a benchmark: claims, tables, pictures and curves, read from files only.

``python -m benchmarks.report [--output DIR]`` writes ``report.html`` and ``report.md`` again from
what ``benchmarks.run`` left in ``DIR``. It needs no network, and neither does the page.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import jinja2
from rich.console import Console

from benchmarks.report.figures import curves, pictures
from benchmarks.report.tables import COSTS, decide, links, tables
from benchmarks.report.terminal import show
from benchmarks.results import Row, latest_rows
from benchmarks.rows import arrow, written
from semsynth.files import write_text

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=jinja2.select_autoescape(["html"]),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals |= {
    **{"arrow": arrow, "links": links, "mean": mean, "written": written},
    **{"costs": COSTS, "pictures": pictures},
}


def write(output: Path, title: str) -> Path:
    """Write ``report.html`` and ``report.md`` of a directory with ``results.jsonl``; show both."""
    rows = latest_rows(output)
    write_text(output / "report.md", markdown(rows, title))
    file = output / "report.html"
    write_text(file, page(rows, title, output))
    found = tables(rows)
    console = Console()
    show(found, decide(found), console)
    console.print(f"All scores, pictures and curves: {file}")
    return file


def page(rows: Sequence[Row], title: str = "", output: Path = Path()) -> str:
    """The page as HTML; its links are relative to a directory."""
    found = tables(rows)
    drawn = curves(rows, [f"val/{name}" for table in found for name in table.headlines])
    content = {"rows": rows, "tables": found, "decisions": decide(found), "curves": drawn}
    return TEMPLATES.get_template("page.html").render(content, title=title, output=output)


def markdown(rows: Sequence[Row], title: str = "") -> str:
    """Claims and tables as Markdown, the best values in bold."""
    found = tables(rows)
    content = {"tables": found, "decisions": decide(found), "title": title}
    return TEMPLATES.get_template("page.md").render(content)
