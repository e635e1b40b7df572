"""Tables of the report as HTML and Markdown."""

import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.report.rows import (
    PER_CLASS,
    Entry,
    Published,
    arrow,
    best,
    columns,
    entries,
    published,
    written,
)
from benchmarks.results import Row, comparable_groups, differing, require_comparable, version_notes
from semsynth.metrics.protocol import describe

COSTS = {
    "images_per_second": "images/s",
    "train_seconds": "training, s",
    "peak_memory_gib": "peak memory, GiB",
    "num_processes": "processes",
    "device": "device",
}


def data_of(group: Sequence[Row]) -> str | None:
    """Name of the data on which a group was measured."""
    cards = [row["protocol"] for row in group if row.get("protocol")]
    return cards[0].get("data") if cards else None


def caption(group: Sequence[Row]) -> str:
    """Data, number and size of images: what the table was measured on."""
    card: dict[str, Any] = next((row["protocol"] for row in group if row.get("protocol")), {})
    size = "x".join(map(str, card.get("image_size", [])))
    count = card.get("num_images")
    parts = [data_of(group) or "Scores", f"{count} test images" if count else "", size]
    return ", ".join(part for part in parts if part)


def notes(group: list[Row], first: list[Row]) -> list[str]:
    """Why the rows of a group stand apart from the first group, and what else to know of them."""
    found = []
    if group is not first:
        keys = differing(first[0], group[0])
        why = "other data" if "data" in keys else describe(keys)
        found.append(f"Not to be compared with the first table: {why}.")
    if versions := version_notes(group):
        found.append(f"Measured by different versions: {', '.join(versions)}.")
    commits = sorted({str(row["commit"]) for row in group if "commit" in row})
    if len(commits) > 1:
        found.append(f"Run from different commits: {', '.join(commits)}.")
    return found


def html_tables(rows: list[Row], output: Path = Path()) -> str:
    """A table for each protocol by which rows were measured, with what sets it apart.

    Args:
        rows: All rows.
        output: Directory of the page, to which links are relative.
    """
    groups = comparable_groups(rows)
    parts = []
    for group in groups:
        parts.append(f"<h3>{html.escape(caption(group))}</h3>")
        parts += [f'<p class="note">{html.escape(note)}</p>' for note in notes(group, groups[0])]
        parts.append(html_table(group, output))
        parts.append(class_table(group))
    return "".join(parts)


def html_table(rows: list[Row], output: Path = Path()) -> str:
    """The table, its best values in bold, published numbers in columns of their own.

    Raises:
        ProtocolError: The rows were not measured by one protocol.
    """
    require_comparable(rows)
    lines, names = entries(rows), columns(rows)
    papers = published(data_of(rows))
    printed = [name for name in names if any(p.name == name for p in papers)]
    head = "".join(f"<th>{html.escape(n)} {arrow(n)}</th>" + heading(n, printed) for n in names)
    winners = {name: best(lines, name) for name in names}
    body = [html_line(line, names, printed, winners, papers, output) for line in lines]
    alone = dict.fromkeys(p.label for p in papers if p.label not in {line.label for line in lines})
    body += [paper_line(label, names, printed, papers) for label in alone]
    table = f"<table><tr><th>run</th>{head}<th>seeds</th></tr>{''.join(body)}</table>"
    return f'<div class="wide">{table}</div>{footnotes(papers)}'


def heading(name: str, printed: list[str]) -> str:
    """Heading of the column of published numbers, if there is one."""
    return '<th class="paper">published</th>' if name in printed else ""


def html_line(
    line: Entry,
    names: list[str],
    printed: list[str],
    winners: dict[str, float | None],
    papers: Sequence[Published],
    output: Path,
) -> str:
    """A line of the table; where all runs failed, the reason."""
    failed = line.failed
    kind = "oracle" if line.oracle else "failed" if failed else ""
    cells = [f"<td>{html.escape(line.label)}{links(line, output)}</td>"]
    if len(failed) == len(line.rows):
        width = len(names) + len(printed)
        cells.append(f'<td colspan="{width}">{html.escape(failed[0]["error"])}</td>')
    else:
        for name in names:
            values = line.values(name)
            wins = values and mean(values) == winners[name] and not line.oracle
            mark = ' class="best"' if wins else ""
            cells.append(f"<td{mark}>{written(values)}</td>")
            if name in printed:
                cells.append(paper_cell(line.label, name, papers))
    of_all = f" of {len(line.rows)}" if failed else ""
    count = "" if line.oracle else f"{len(line.rows) - len(failed)}{of_all}"
    errors = "; ".join(dict.fromkeys(row["error"] for row in failed))
    hint = f' title="{html.escape(errors)}"' if errors else ""
    return f'<tr class="{kind}"{hint}>{"".join(cells)}<td>{count}</td></tr>'


def paper_line(
    label: str, names: list[str], printed: list[str], papers: Sequence[Published]
) -> str:
    """A method that has published numbers and no run here."""
    cells = [
        "<td></td>" + (paper_cell(label, name, papers) if name in printed else "") for name in names
    ]
    return f'<tr class="paper"><td>{html.escape(label)}</td>{"".join(cells)}<td></td></tr>'


def paper_cell(label: str, name: str, papers: Sequence[Published]) -> str:
    """A published number, with a mark where protocols differ and its source as a hint."""
    found = [p for p in papers if (p.label, p.name) == (label, name)]
    if not found:
        return '<td class="paper"></td>'
    paper = found[0]
    mark = "†" if paper.differs else ""
    return f'<td class="paper" title="{html.escape(paper.source)}">{paper.value:g}{mark}</td>'


def footnotes(papers: Sequence[Published]) -> str:
    """Sources of the published numbers, and in what their protocols differ."""
    texts = dict.fromkeys(
        f"{'† ' if p.differs else ''}{p.source}{': ' if p.differs else ''}{p.differs}."
        for p in papers
    )
    return "".join(f'<p class="note">{html.escape(text)}</p>' for text in texts)


def links(line: Entry, output: Path) -> str:
    """Links to the directories of the runs."""
    directories = [Path(row["run_dir"]) for row in line.rows if "run_dir" in row]
    places = [os.path.relpath(directory, output) for directory in directories]
    return "".join(
        f' <a href="{html.escape(place)}" title="run directory">↗</a>' for place in places
    )


def class_table(rows: list[Row]) -> str:
    """IoU of each class, on a scale of colours."""
    lines = [line for line in entries(rows) if line.rows[0].get("scores")]
    found = dict.fromkeys(n for row in rows for n in row.get("scores", {}) if PER_CLASS in n)
    numbers = sorted(int(name.removeprefix(PER_CLASS)) for name in found)
    if not numbers:
        return ""
    titles = class_names(rows)
    head = "".join(f"<th>{html.escape(titles.get(n, str(n)))}</th>" for n in numbers)
    body = []
    for line in lines:
        values = [line.values(f"{PER_CLASS}{n}") for n in numbers]
        cells = "".join(heat(mean(v)) if v else "<td></td>" for v in values)
        kind = "oracle" if line.oracle else ""
        body.append(f'<tr class="{kind}"><td>{html.escape(line.label)}</td>{cells}</tr>')
    table = f"<table><tr><th>IoU of each class</th>{head}</tr>{''.join(body)}</table>"
    return f'<div class="wide">{table}</div>'


def heat(value: float) -> str:
    """A cell whose background says how large a value in [0, 1] is."""
    return f'<td style="--heat:{100 * value:.0f}%" class="heat">{value:.2f}</td>'


def class_names(rows: list[Row]) -> dict[int, str]:
    """Names of the classes, from the first run that has written them."""
    for row in rows:
        file = Path(row.get("run_dir", "")) / "classes.json"
        if file.is_file():
            return dict(enumerate(json.loads(file.read_text())))
    return {}


def cost_table(rows: list[Row]) -> str:
    """Throughput, memory and time of the trainings."""
    finished = [row for row in rows if "scores" in row]
    lines = [line for line in entries(finished) if line.costs("images_per_second")]
    if not lines:
        return ""
    head = "".join(f"<th>{title}</th>" for title in COSTS.values())
    body = "".join(
        f"<tr><td>{html.escape(line.label)}</td>"
        + "".join(f"<td>{cost(line.costs(name))}</td>" for name in COSTS)
        + "</tr>"
        for line in lines
    )
    return f'<div class="wide"><table><tr><th>run</th>{head}</tr>{body}</table></div>'


def cost(values: list[Any]) -> str:
    """Mean of numbers, or the names that occur."""
    if not values or isinstance(values[0], str):
        return html.escape(", ".join(dict.fromkeys(values)))
    return f"{mean(values):.4g}"


def markdown(rows: list[Row]) -> str:
    """The tables in Markdown, the best values in bold."""
    parts = []
    groups = comparable_groups(rows)
    for group in groups:
        lines, names = entries(group), columns(group)
        winners = {name: best(lines, name) for name in names}
        heads = ["run", *(f"{name} {arrow(name)}" for name in names)]
        table = [heads, ["---"] * len(heads)]
        for line in lines:
            if len(line.failed) == len(line.rows):
                failed = [f"failed: {line.failed[0]['error']}".replace("|", "\\|")]
                table.append([line.label, *failed, *[""] * (len(names) - 1)])
                continue
            table.append([line.label, *(cell(line, name, winners[name]) for name in names)])
        parts += [f"## {caption(group)}", "", *notes(group, groups[0]), ""]
        parts += [*(f"| {' | '.join(words)} |" for words in table), ""]
    return "\n".join(parts)


def cell(line: Entry, name: str, winner: float | None) -> str:
    """A value in Markdown."""
    values = line.values(name)
    wins = values and mean(values) == winner and not line.oracle
    return f"**{written(values)}**" if wins else written(values)
