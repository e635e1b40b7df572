"""Time the vectorised parts against naive ones: ``python -m benchmarks.speed [CASE ...]``.

Forms of a computation must agree before they are timed, in alternating blocks of one process: what
counts is the ratio. On a GPU the networks are also timed in bfloat16 and compiled.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed import clvae, data, editing, export, fewshot, frechet, studio, stylegan2
from benchmarks.speed.compare import VARIANTS, Case, check, measure
from semsynth.cli.preflight import choose_device
from semsynth.errors import UserError

CASES: dict[str, Case] = {
    "clvae": clvae.steps,
    "clvae_codes": clvae.codes,
    "data": data.epochs,
    "export": export.exports,
    "fewshot": fewshot.steps,
    "fewshot_labels": fewshot.labels,
    "frechet": frechet.distances,
    "editing": editing.steps_and_edits,
    "stylegan2": stylegan2.passes_and_steps,
}
NETWORKS = ("clvae", "fewshot", "editing", "stylegan2")  # cases with variants


def main(args: Sequence[str] | None = None) -> None:
    """Print a table with milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = (*CASES, "studio")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("cases", nargs="*", choices=[*names, []], help="default: all")
    parser.add_argument("--device", default=device)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="default: all on a GPU")
    parser.add_argument("--blocks", type=int, default=3, help="of each form (default: 3)")
    options = parser.parse_args(args)
    chosen = options.cases or names
    try:
        choose_device(options.device)
    except UserError as error:
        parser.error(str(error))
    variants = options.variants or (VARIANTS if options.device == "cuda" else VARIANTS[:1])
    console = Console()
    if cases := [name for name in chosen if name in CASES]:
        console.print(measured(cases, options.device, variants, options.blocks))
    if "studio" in chosen:
        console.print(studio.latency())


def measured(cases: Sequence[str], device: str, variants: Sequence[str], blocks: int) -> Table:
    """A line for each pair of ours and another form."""
    machine = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    title = f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    table = Table("case", "against", title=title)
    for head in ("ours, ms", "other, ms", "ratio"):
        table.add_column(head, justify="right")
    runs = [(case, v) for case in cases for v in (variants if case in NETWORKS else VARIANTS[:1])]
    for case, variant in runs:
        torch.compiler.reset()  # beyond its limit torch runs eagerly, silently
        torch.manual_seed(0)
        for title, forms, tolerance in CASES[case](device, variant):
            name = f"{case}: {title}" + (f", {variant}" if case in NETWORKS else "")
            sys.stderr.write(f"{name}\n")
            check(forms, 10 * tolerance if "bf16" in variant else tolerance)
            ours, *others = measure(forms, blocks).items()
            for other, time in others:
                cells = (f"{ours[1]:.4g}", f"{time:.4g}", f"{time / ours[1]:.2f}")
                table.add_row(name, other, *cells)
    return table


if __name__ == "__main__":
    main()
