"""The commands ``semsynth data check`` and ``semsynth data prepare``."""

import json
import logging
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Sequence

import semsynth.data
from semsynth.cli.messages import Parser, unwrapped
from semsynth.data.base import SynthesisDataModule
from semsynth.data.check.palette import convert_colour_masks
from semsynth.data.check.splits import DataReport, check_data
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import DataError, Problem
from semsynth.data.opening import data_of
from semsynth.data.prepare import prepare


def run(options: Namespace, rest: Sequence[str]) -> None:
    """Run a command; bad files end in a report and status 1.

    Args:
        options: What the command line says (see ``semsynth.cli``).
        rest: Arguments of the data set, such as ``--data.num_classes 12``.
    """
    logging.basicConfig(format="%(message)s")
    try:
        data = build_data(options, rest)
        if not isinstance(data, PairsOnDisk):
            say(f"{type(data).__name__} has no files: its samples are drawn by code.")
            return
        good = _check(data, options) if options.verb == "check" else _prepare(data, options)
    except KeyboardInterrupt:
        sys.exit("Interrupted; the same command goes on where it was.")
    if not good:
        sys.exit(1)


def build_data(options: Namespace, rest: Sequence[str]) -> SynthesisDataModule:
    """The data module that a command is about."""
    args = [f"--data={json.dumps(data_of(options.config))}"] if options.config else []
    args += ["--data", class_named(options.data)] if options.data else []
    args += ["--data.root", options.root] if options.root else []
    parser = Parser(prog=f"semsynth data {options.verb}", allow_abbrev=False)
    parser.files = (str(options.config),) if options.config else ()
    parser.add_lightning_class_args(SynthesisDataModule, "data", subclass_mode=True)
    parsed = parser.parse_args([*args, *rest])
    with unwrapped():
        return parser.instantiate(parsed).data


def class_named(name: str) -> str:
    """The class of a data set by a friendly name: ``celebamask-hq`` is ``CelebAMaskHQ``.

    Raises:
        DataError: There is no such data set; the message lists those that there are.
    """

    def plain(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum())

    classes = {
        plain(known): known
        for known in semsynth.data.__all__
        if isinstance(value := getattr(semsynth.data, known), type)
        and issubclass(value, PairsOnDisk)
        and value is not PairsOnDisk
    }
    if plain(name) not in classes:
        known = ", ".join(classes)
        raise DataError(f"There is no data set on disk called {name!r}; there are {known}.")
    return classes[plain(name)]


def _check(data: PairsOnDisk, options: Namespace) -> bool:
    """Check a data set and print the report; whether all is well."""
    report = check_data(data, options.workers)
    if options.fix_palette and report.problems:
        converted, failed = convert_colour_masks(report.problems, data.label_space, data.lookup())
        say(f"Converted {len(converted)} label maps; the colours are kept as NAME.png.colour.")
        report = check_data(data, options.workers)
        unexplained = [p for p in report.problems if p.file not in {f.file for f in failed}]
        report.problems = [*unexplained, *failed]
    say(describe(data, report, options.limit))
    return not report.problems


def describe(data: PairsOnDisk, report: DataReport, limit: int) -> str:
    """The report of a check as text."""
    names = data.label_space.names
    lines = [f"{type(data).__name__} in {data.root}"]
    for split in report.splits:
        seen = [name for name, pixels in zip(names, split.counts, strict=False) if pixels]
        lines.append(
            f"  {split.title}: {len(split.pairs)} samples, {len(seen)} of {len(names)} classes"
        )
    lines += [f"  {note}" for note in report.notes]
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in report.problems:
        kinds[problem.kind].append(problem)
    for kind, problems in sorted(kinds.items()):
        lines += ["", f"{kind}: {len(problems)}"]
        lines += [f"  {problem.message}" for problem in problems[:limit]]
        lines += [f"  and {len(problems) - limit} more"] if len(problems) > limit else []
    files = len({problem.file for problem in report.problems})
    total = len(report.problems)
    end = f"Problems: {total}, in {files} files." if files else "No problem was found."
    return "\n".join([*lines, "", end])


def _prepare(data: PairsOnDisk, options: Namespace) -> bool:
    """Prepare a data set and print what was done; whether all is well."""
    output = options.output or data.root / "prepared"
    size = None if options.size is None else (options.size[0], options.size[1])
    report = prepare(data, output, size, options.dry_run, options.workers, say)
    if report.problems:
        say(describe(data, report, limit=10))
    return not report.problems


def say(text: str) -> None:
    """Print a line to the standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
