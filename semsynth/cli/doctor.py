"""``semsynth doctor``: what is here, what will not work, and what to do; help imports no torch."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semsynth.cli.doctor_findings import Finding

EPILOG = """\
Each line is good, a note (something optional is missing) or bad (training will not work). The exit
status is 1 if anything is bad, else 0.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth doctor",
        description="Look at versions, devices, weights, data, W&B and disk, and say what to mend.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    from semsynth.cli.doctor_findings import examine  # imports torch

    findings = examine()
    if options.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print("\n".join(lines(findings)))
    sys.exit(int(any(finding.state == "bad" for finding in findings)))


def lines(findings: "list[Finding]") -> list[str]:
    """A line for each finding, and one more where there is something to do."""
    width = max(len(finding.what) for finding in findings)
    text = []
    for finding in findings:
        text.append(f"{finding.state}  {finding.what:<{width}}  {finding.found}")
        if finding.remedy:
            text.append(f"      {'':<{width}}  -> {finding.remedy}")
    return text
