import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from scipy.stats import ttest_rel

from benchmarks import report
from benchmarks.claims import Claim, ClaimError, Verdict, read_claims
from benchmarks.report.tables import decide as decisions
from benchmarks.report.tables import tables
from benchmarks.report.terminal import show
from benchmarks.rows import entries, names
from benchmarks.sweep import read_sweep

SUITES = Path(__file__).parents[2] / "benchmarks/suites"


def rows(**values: list[float]) -> list[dict[str, Any]]:
    """Runs of named rows, one for each seed."""
    configs = {"ours": "clvae/a.yaml", "rival": "clvae/a.yaml --model.architecture groupdnet"}
    return [
        {
            "run": f"{name}{seed}",
            "parameters": {"config": configs[name], "seed_everything": seed},
            "scores": {"fd_toy": value, "fd_toy_std": 9.0, "top1_toy": 2 * value},
        }
        for name, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]


def decide(text: str, found: list[dict[str, Any]]) -> list[Verdict]:
    return Claim("a claim", "a table", (text,)).decide(entries(found))


def test_outcome_is_that_of_scipys_paired_t_test() -> None:
    cases = [([1.0, 2.0, 3.0], [2.0, 3.1, 4.2]), ([1.0, 5.0, 3.0], [2.0, 3.0, 4.0])]
    for ours, rival in cases:
        (found,) = decide("fd of CLVAE < GroupDNet-like", rows(ours=ours, rival=rival))
        sure = ttest_rel(ours, rival).pvalue < 0.05
        assert found.outcome == ("holds" if sure else "undecided")
        (found,) = decide("fd of CLVAE > GroupDNet-like", rows(ours=ours, rival=rival))
        assert found.outcome == ("does not hold" if sure else "undecided")


def test_one_seed_decides_nothing_and_shows_its_numbers() -> None:
    (found,) = decide("FID or fd of CLVAE < GroupDNet-like", rows(ours=[1.0], rival=[9.0]))
    assert (found.outcome, found.numbers, found.seeds) == ("undecided", "1.000 < 9.000", 1)
    assert found.score == "fd_toy"


def test_runs_are_paired_by_seed_and_others_do_not_count() -> None:
    found = rows(ours=[1.0, 2.0, 3.0], rival=[2.0, 3.0])
    (verdict,) = decide("fd of CLVAE < GroupDNet-like", found[::-1])
    assert (verdict.seeds, verdict.difference, verdict.outcome) == (2, 1.0, "holds")


def test_oracle_goes_with_every_seed_and_a_factor_counts() -> None:
    oracle = {"run": "oracle", "oracle": True, "scores": {"fd_toy": 10.0}}
    (found,) = decide("fd of CLVAE > 0.5 oracle", [*rows(ours=[6.0, 6.5, 6.2]), oracle])
    assert (found.numbers, found.seeds, found.outcome) == ("6.233 > 5.000", 3, "holds")


def test_two_scores_of_one_row_can_be_compared() -> None:
    (found,) = decide("fd of CLVAE < top1 of CLVAE", rows(ours=[1.0, 2.0]))
    assert found.numbers == "1.500 < 3.000"


def test_claim_without_its_rows_or_with_nan_is_left_out() -> None:
    assert decide("fd of CLVAE < GroupDNet-like", rows(ours=[1.0])) == []
    assert decide("fd of CLVAE < GroupDNet-like", rows(ours=[1.0], rival=[float("nan")])) == []


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"claim": "a"}, "has the keys claim, source and holds if"),
        (
            {"claim": "a", "source": "b", "holds if": "ours beats theirs"},
            "write SCORE of ROW > ROW",
        ),
    ],
)
def test_claim_that_cannot_be_read_is_named(
    tmp_path: Path, claim: dict[str, str], message: str
) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump({"claims": [claim]}))
    with pytest.raises(ClaimError, match=message):
        read_claims(file)


def test_claims_come_first_in_the_report_with_their_source() -> None:
    found = rows(ours=[1.0, 2.0, 3.0], rival=[0.5, 1.4, 2.6])
    for row in found:
        row["scores"] = {"diversity_toy": row["scores"]["fd_toy"]}
    text = report.markdown(found)
    assert text.index("| **holds** | CLVAE is more diverse than GroupDNet |") < text.index(
        "| run |"
    )
    page = report.page(found)
    assert page.index('class="holds">holds') < page.index("<th>run</th>")
    assert "PG 2020, table 2" in page


def test_terminal_of_80_columns_shows_outcome_numbers_and_seeds() -> None:
    found = rows(ours=[1.0, 2.0, 3.0], rival=[0.5, 1.4, 2.6])
    for row in found:
        row["scores"] = {"diversity_toy": row["scores"]["fd_toy"]}
    console = Console(width=80, file=io.StringIO())
    show(measured := tables(found), decisions(measured), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    (line,) = (line for line in text.splitlines() if "holds" in line)
    assert line.split()[-4:] == ["2.000", ">", "1.500", "3"]


def test_every_row_of_a_claim_is_a_run_of_a_suite_or_a_study() -> None:
    points = [p for f in SUITES.glob("*.yaml") if f.stem != "downstream" for p in read_sweep(f)]
    suites = {line.label for line in entries([{"parameters": p.parameters} for p in points])}
    studied = {"ours, open loop", "ours, closed loop", "no edit", "ridge regression"}
    known = suites | studied | {"closed-form directions", "oracle (renderer)"}
    for claim in read_claims():
        for left, _, right in claim.sides:
            assert {left.row, right.row} <= known, claim
    assert len(names()) == len(set(names()))
