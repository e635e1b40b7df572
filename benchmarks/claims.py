"""Claims: statements of papers as inequalities between rows, decided by a paired test over seeds.

``claims.yaml`` holds them. A claim **holds** if the 95 % confidence interval of the mean difference
over seeds (paired t-test) lies on its side of zero, **does not hold** if it lies on the other side,
and is **undecided** otherwise. One seed decides nothing; with two the mean difference must be 9
times its standard deviation, with three 2.5 times, with five 1.3 times.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import yaml
from scipy.stats import t

from benchmarks.rows import CLAIMS, ORACLE, Entry, digits
from semsynth.errors import UserError

SURE = 0.95
SAID_OF_SCORES = ("_real", "_std", "_stderr", "_ratio")  # ends of names that are no scores
INEQUALITY = re.compile(
    r"(?P<score>.+?) of (?P<row>.+?) (?P<sign>[<>]) "
    r"(?:(?P<factor>[\d.]+) )?(?:(?P<of>.+?) of )?(?P<other>.+)"
)


class ClaimError(UserError):
    """A claim that cannot be read; the message names it and the remedy."""


class Side(NamedTuple):
    """One side of an inequality, a score of a row, times a factor."""

    row: str
    score: str
    factor: float


class Verdict(NamedTuple):
    """What the rows of a table say of one inequality."""

    score: str
    inequality: str
    outcome: str
    numbers: str
    seeds: int
    difference: float  # in the sense of the claim: above zero speaks for it
    margin: float  # half the confidence interval; infinite for one seed


class Decision(NamedTuple):
    """A claim and what a table says of it."""

    claim: "Claim"
    where: str
    verdicts: list[Verdict]

    def statement(self, v: Verdict) -> str:
        """The claim, with the rows of an inequality that is one of several."""
        several = len(self.claim.inequalities) > 1
        rows = v.inequality.partition(" of ")[2]
        return f"{self.claim.claim}: {rows}" if several else self.claim.claim


@dataclass(frozen=True)
class Claim:
    """A statement, where it is made, and the inequalities that it stands for."""

    claim: str
    source: str
    inequalities: tuple[str, ...]

    @cached_property
    def sides(self) -> list[tuple[Side, bool, Side]]:
        """Of each inequality the left side, whether it is to be the smaller one, the right side."""
        return [self._parse(text) for text in self.inequalities]

    def _parse(self, text: str) -> tuple[Side, bool, Side]:
        found = INEQUALITY.fullmatch(text)
        if found is None:
            message = f"Claim {self.claim!r}: write SCORE of ROW > ROW (or <), got {text!r}."
            raise ClaimError(message)
        row = ORACLE if found["other"] == "oracle" else found["other"]
        right = Side(row, found["of"] or found["score"], float(found["factor"] or 1))
        return Side(found["row"], found["score"], 1.0), found["sign"] == "<", right

    def decide(self, lines: Sequence[Entry]) -> list[Verdict]:
        """A verdict for each inequality whose rows and scores a table has."""
        found = []
        for text, (left, less, right) in zip(self.inequalities, self.sides, strict=True):
            name, values = measured(left, lines)
            if compared := paired(values, measured(right, lines)[1]):
                found.append(verdict(compared, less, name, text))
        return found


def read_claims(file: Path = CLAIMS) -> list[Claim]:
    """The claims of a file."""
    claims = []
    for given in yaml.safe_load(file.read_text())["claims"]:
        if not isinstance(given, dict) or given.keys() != {"claim", "source", "holds if"}:
            raise ClaimError(
                f"{file}: a claim has the keys claim, source and holds if; got {given}."
            )
        needed = given["holds if"]
        inequalities = (needed,) if isinstance(needed, str) else tuple(needed)
        claims.append(Claim(given["claim"], given["source"], inequalities))
        _ = claims[-1].sides  # a mistake is reported now
    return claims


def measured(side: Side, lines: Sequence[Entry]) -> tuple[str, dict[tuple[str | None, ...], float]]:
    """Full name of a score and its values by seed, of the row with most runs of that name."""
    best: tuple[str, dict[tuple[str | None, ...], float]] = (side.score, {})
    for line in (line for line in lines if line.label == side.row):
        names = dict.fromkeys(name for row in line.rows for name in row.get("scores", {}))
        for name in (name for name in names if stands_for(side.score, name)):
            values = line.by_seed(name)
            kept = {k: side.factor * v for k, v in values.items() if math.isfinite(v)}
            if len(kept) > len(best[1]):
                best = (name, kept)
    return best


def stands_for(words: str, name: str) -> bool:
    """Whether ``FID or fd`` means ``fd_toy``."""
    return not name.endswith(SAID_OF_SCORES) and any(
        name == word or name.startswith(f"{word}_") for word in words.split(" or ")
    )


def paired(
    left: dict[tuple[str | None, ...], float], right: dict[tuple[str | None, ...], float]
) -> list[tuple[float, float]]:
    """Values of the same seeds; what has no seed, such as an oracle, goes with every seed."""
    without = (None, None)
    if left.keys() == {without}:
        return [(left[without], value) for value in right.values()]
    if right.keys() == {without}:
        return [(value, right[without]) for value in left.values()]
    return [(left[seed], right[seed]) for seed in left if seed in right]


def verdict(pairs: list[tuple[float, float]], less: bool, score: str, text: str) -> Verdict:
    """Decide by a two-sided paired t-test over seeds."""
    gains = [b - a if less else a - b for a, b in pairs]
    difference, margin, number = mean(gains), math.inf, len(gains)
    if number > 1:
        margin = t.ppf((1 + SURE) / 2, number - 1) * stdev(gains) / math.sqrt(number)
    outcome = "undecided"
    if abs(difference) > margin:
        outcome = "holds" if difference > 0 else "does not hold"
    a, b = (mean(values) for values in zip(*pairs, strict=True))
    relation = "<" if a < b else ">" if a > b else "="
    numbers = f"{digits(a)} {relation} {digits(b)}"
    return Verdict(score, text, outcome, numbers, number, difference, margin)
