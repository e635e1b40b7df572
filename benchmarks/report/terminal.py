"""Claims and tables in a terminal of 80 columns; the rest is in the report."""

import re
from collections.abc import Sequence
from statistics import mean

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Drawn

from benchmarks.claims import Decision
from benchmarks.report.tables import Table
from benchmarks.rows import arrow, digits

STYLES = {"holds": "green", "does not hold": "red", "undecided": "yellow"}
LOOK = SIMPLE_HEAD


def show(tables: Sequence[Table], decisions: Sequence[Decision], console: Console) -> None:
    """Print the claims, then a table for each protocol."""
    if decisions:
        console.print(claims(decisions))
        if all(v.seeds == 1 for _, _, verdicts in decisions for v in verdicts):
            console.print(
                "  One seed decides nothing; run the sweep with three or more.", style="dim"
            )
    for table in tables:
        console.print(scores(table))
        for note in table.notes:
            console.print(f"  {note}", style="dim", markup=False)


def claims(decisions: Sequence[Decision]) -> Drawn:
    """A line for each inequality."""
    drawn = Drawn(box=LOOK, pad_edge=False, collapse_padding=True)
    drawn.add_column("", no_wrap=True)
    drawn.add_column("claim")
    drawn.add_column("score", max_width=10)
    drawn.add_column("measured", no_wrap=True)
    drawn.add_column("n", justify="right")
    drawn.title = "Claims of the papers, by a paired t-test over n seeds (95 %)"
    for decision in decisions:
        several = sum(other.claim == decision.claim for other in decisions) > 1
        for v in decision.verdicts:
            outcome = f"[{STYLES[v.outcome]}]{v.outcome}[/]"
            text = decision.statement(v) + (f" ({decision.where})" if several else "")
            drawn.add_row(outcome, escape(text), spaced(v.score), v.numbers, str(v.seeds))
    return drawn


def spaced(score: str) -> str:
    """The name of a score, without its task, in words that can stand below each other."""
    name = score.rsplit("/", 1)[-1].replace("_", " ")
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)


def scores(table: Table) -> Drawn:
    """Means of at most five scores, the best in bold."""
    drawn = Drawn("run", box=LOOK, title=table.caption, pad_edge=False)
    for name in table.headlines:
        drawn.add_column(f"{spaced(name)} {arrow(name)}", justify="right", width=9)
    for line in table.lines:
        if len(line.failed) == len(line.rows):
            drawn.add_row(escape(line.name), "failed", style="red")
            continue
        cells = [line.values(name) for name in table.headlines]
        bold = [table.wins(line, name) for name in table.headlines]
        words = [digits(mean(values)) if values else "" for values in cells]
        shown = [f"[bold]{word}[/]" if b else word for word, b in zip(words, bold, strict=True)]
        drawn.add_row(escape(line.name), *shown, style="italic" if line.oracle else "")
    return drawn
