"""Tables of ``benchmarks/results/*.md``, written from the rows beside them; the prose is by hand.

``python -m benchmarks.report.pages`` rewrites what stands between ``<!-- rows: FILE.jsonl [DATA]:
SCORE SCORE -->`` or ``<!-- claims: FILE.jsonl -->`` and ``<!-- end -->``.
"""

import json
import re
from pathlib import Path

from benchmarks.report.tables import Table, decide, tables
from benchmarks.results import read_rows
from benchmarks.rows import arrow, written
from semsynth.files import write_text

RESULTS = Path(__file__).parents[1] / "results"
MARKED = re.compile(
    r"(?P<begin><!-- (?P<kind>rows|claims): (?P<file>\S+\.jsonl)(?: (?P<data>\w+))?"
    r"(?:: (?P<scores>.+?))? -->\n).*?(?P<end><!-- end -->)",
    re.DOTALL,
)


def render(text: str, directory: Path = RESULTS) -> str:
    """A page with its tables written again."""

    def again(found: re.Match[str]) -> str:
        rows = read_rows(directory / found["file"])
        latest = {(row["run"], json.dumps(row.get("parameters"))): row for row in rows}
        measured = tables(list(latest.values()))
        if found["kind"] == "claims":
            return found["begin"] + claims(measured) + found["end"]
        table = next(t for t in measured if found["data"] in (None, t.card.get("data")))
        return found["begin"] + scores(table, found["scores"].split()) + found["end"]

    return MARKED.sub(again, text)


def scores(table: Table, names: list[str]) -> str:
    """Means and standard deviations as Markdown, the best in bold."""
    lines = [f"| run | {' | '.join(f'{n} {arrow(n)}' for n in names)} | runs |"]
    lines.append("|---" * (len(names) + 2) + "|")
    for line in (line for line in table.lines if line.values(names[0])):
        words = [written(line.values(name)) for name in names]
        bold = [f"**{w}**" if table.wins(line, n) else w for n, w in zip(names, words, strict=True)]
        lines.append(f"| {line.name} | {' | '.join(bold)} | {len(line.values(names[0]))} |")
    return "\n".join(lines) + "\n"


def claims(measured: list[Table]) -> str:
    """Verdicts as Markdown."""
    lines = ["| | claim | measured | seeds |", "|---|---|---|---|"]
    for decision in decide(measured):
        for v in decision.verdicts:
            words = f"{decision.statement(v)} | {v.score} {v.numbers}"
            lines.append(f"| **{v.outcome}** | {words} | {v.seeds} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for page in sorted(RESULTS.glob("*.md")):
        write_text(page, render(page.read_text()))
