"""``semsynth data check`` and ``semsynth data prepare``."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from semsynth.cli.messages import Parser, unwrapped
from semsynth.errors import UsageError, UserError, check_numbers, require_writable

if TYPE_CHECKING:
    from semsynth.data.check.splits import DataReport
    from semsynth.data.disk import PairsOnDisk
    from semsynth.data.errors import Problem


def check(
    *,
    config: Path | None = None,
    data: str | None = None,
    root: str | None = None,
    limit: int = 10,
    fix_palette: Annotated[bool, "--fix-palette"] = False,
    strict: bool = False,
    workers: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> bool:
    """Read every file of a data set and list the problems.

    Finds damaged files, missing partners, sizes that differ, and values of label maps without a
    class. The exit status is 1 if there are problems. What may be intended is a warning, such as
    photos that occur twice, in two splits or in one, also resized or recompressed.

      semsynth data check --config experiments/clvae/ade20k.yaml
      semsynth data check --data ade20k --root DIR
      semsynth data check --data folder --root DIR --fix-palette

    Arguments of the data set itself are given as for fit: --data.KEY VALUE.

    --fix-palette replaces colour label maps by class indices. The colours are those of the label
    space; for your own folder they are in ROOT/classes.txt, one class per line: sky #4682b4.
    Black is unlabelled unless a class is black. The originals are kept as NAME.png.colour.

    Args:
        config: Experiment whose data to check.
        data: Data set: ade20k, cityscapes, folder and others.
        root: Directory of the data set.
        limit: Problems to list of each kind.
        fix_palette: Convert colour label maps to indices.
        strict: Exit with status 1 for warnings too.
        workers: Threads; a few more than cores by default.
        arguments: Arguments of the data set, by key.
    """
    if (config is None) == (data is None):
        raise UsageError("Give one of --config and --data.")
    from semsynth.data.check.palette import convert_colour_masks
    from semsynth.data.check.repeats import repeated_photos
    from semsynth.data.check.splits import check_data

    module = open_pairs("check", config, data, root, arguments)
    if module is None:
        return True
    report = check_data(module, workers)
    if fix_palette and report.problems:
        space, lookup = module.label_space, module.lookup()
        converted, failed = convert_colour_masks(report.problems, space, lookup)
        say(f"Converted {len(converted)} label maps; the colours are kept as NAME.png.colour.")
        report = check_data(module, workers)
        unexplained = [p for p in report.problems if p.file not in {f.file for f in failed}]
        report.problems = [*unexplained, *failed]
    report.warnings += repeated_photos(report.splits)
    say(describe(module, report, limit))
    return not report.problems and not (strict and report.warnings)


def prepare(
    data: str,
    *,
    root: str | None = None,
    annotations: Path | None = None,
    images: Path | None = None,
    split: tuple[float, float, float] = (0.9, 0.1, 0.0),
    background: str | None = None,
    output: Path | None = None,
    size: tuple[int, int] | None = None,
    value_map: Annotated[Sequence[str], "--map"] = (),
    dry_run: Annotated[bool, "--dry-run"] = False,
    workers: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> bool:
    """Verify, count and describe an unpacked data set.

    Writes OUTPUT/manifest.jsonl (files, split and size of each sample), classes.json (the label
    space) and stats.json (class frequencies). The parts of CelebAMask-HQ are merged, the MATLAB
    annotations of CCP converted to folders in OUTPUT. Nothing is downloaded; for missing data the
    official page is printed. Rerun it to resume.

      semsynth data prepare cityscapes --root DIR --dry-run
      semsynth data prepare celebamask-hq --root DIR --workers 16
      semsynth data prepare ade20k --root DIR --size 286 286
      semsynth data prepare ccp --root DIR
      semsynth data prepare folder --root DIR --data.num_classes=12
      semsynth data prepare folder --root DIR --data.num_classes=2 --map 255=1

    Arguments of the data set itself are given as for fit: --data.KEY=VALUE.

    --map changes values of the label maps of a folder, in a copy of it in OUTPUT: 255=1 makes the
    value 255 class 1, 0=255 1..150=0..149 makes 0 unlabelled and the others start at 0. Photos of
    more than eight bits are converted to eight there, by --data.range BLACK WHITE, which also makes
    such a copy.

    Exports of labelling tools (coco, labelme, cvat, labelstudio) are converted to a folder of
    photos, label maps and instance maps:

      semsynth data prepare coco --annotations FILE --images DIR --output OUTPUT
      semsynth data prepare labelme --annotations DIR --background ground --output OUTPUT

    Args:
        data: Data set: ade20k, cityscapes, folder and others; or a labelling tool.
        root: Directory of the data set.
        annotations: File of a labelling tool, or directory of files of labelme.
        images: Their photos; beside them by default.
        split: Shares of train, val and test of converted photos.
        background: Class of pixels outside all annotations; unlabelled by default.
        output: Where to write; ROOT/prepared by default.
        size: Also resize all samples to this height and width, for --data.cache OUTPUT/cache.
        value_map: Rules for the values of label maps, each VALUE=CLASS or A..B=C..D.
        dry_run: Print what would be done.
        workers: Threads; a few more than cores by default.
        arguments: Arguments of the data set, by key.
    """
    if annotations is not None:
        convert_annotations(data, annotations, images, output, split, background, workers)
        return True
    if root is None:
        raise UsageError("the following arguments are required: --root, or --annotations.")
    from semsynth.data import Folder
    from semsynth.data import prepare as preparation

    module = open_pairs("prepare", None, data, root, arguments)
    if module is None:
        return True
    folder = output or module.root / "prepared"
    if value_map or (module.range and isinstance(module, Folder)):
        if not converted(module, folder, value_map, dry_run, workers):
            return dry_run
        kept = {k: v for k, v in (arguments or {}).items() if k not in ("label_name", "range")}
        module = open_pairs("prepare", None, data, str(folder), kept) or module
    report = preparation.prepare(module, folder, size, dry_run, workers, say)
    if report.problems:
        say(describe(module, report, limit=10))
    return not report.problems


def converted(
    data: "PairsOnDisk", output: Path, rules: Sequence[str], dry_run: bool, workers: int | None
) -> bool:
    """Convert a folder to ``output``; False, with a message, if it was not written."""
    from semsynth.data import Folder
    from semsynth.data.convert import convert, parse_value_map

    values = parse_value_map(rules)
    if not isinstance(data, Folder):
        raise UsageError(f"--map is for your own folder, not for {type(data).__name__}.")
    if dry_run:
        say(f"would convert {data.root} to {output}")
        return False
    for problem in (problems := convert(data, output, values, workers)):
        say(problem.message)
    if not problems:
        say(f"converted {data.root}; train with --data.root {output}")
    return not problems


def convert_annotations(
    tool: str,
    annotations: Path,
    images: Path | None,
    output: Path | None,
    split: tuple[float, float, float],
    background: str | None,
    workers: int | None,
) -> None:
    """Convert the export of a labelling tool to a folder."""
    from semsynth.data.annotations import FORMATS, convert

    kind = "".join(c for c in tool.lower() if c.isalnum())
    if kind not in FORMATS:
        raise UsageError(f"--annotations are of {', '.join(FORMATS)}, not of {tool!r}.")
    if output is None:
        raise UsageError("--annotations need --output, the folder to write.")
    if min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise UsageError(f"--split must be three shares that sum to 1, got {list(split)}.")
    require_writable(output, "--output")
    if not annotations.exists():
        raise UserError(f"There is no {annotations}; give the file that {tool} exported.")
    convert(kind, annotations, images, output, split, background, workers, say)


VERBS = {"check": check, "prepare": prepare}


def open_pairs(
    verb: str,
    config: Path | None,
    data: str | None,
    root: str | None,
    arguments: Mapping[str, Any] | None,
) -> "PairsOnDisk | None":
    """The data module of a command; None, with a message, if it has no files."""
    from semsynth.data import SynthesisDataModule
    from semsynth.data.disk import PairsOnDisk
    from semsynth.data.opening import data_of

    args = [f"--data={json.dumps(data_of(config))}"] if config else []
    args += [f"--data={class_named(data)}"] if data else []
    args += [f"--data.root={root}"] if root else []
    args += [f"--data.{key}={value}" for key, value in (arguments or {}).items()]
    parser = Parser(prog=f"semsynth data {verb}", usage=f"semsynth data {verb} [OPTIONS]")
    parser.files = (str(config),) if config else ()
    parser.add_subclass_arguments(SynthesisDataModule, "data")
    parsed = parser.parse_args(args)
    check_numbers(parsed.as_dict())
    with unwrapped():
        module = parser.instantiate(parsed).data
    if isinstance(module, PairsOnDisk):
        return module
    say(f"{type(module).__name__} has no files: its samples are drawn by code.")
    return None


def class_named(name: str) -> str:
    """The class of a data set by a friendly name: ``celebamask-hq`` is ``CelebAMaskHQ``."""
    from semsynth import data
    from semsynth.data.disk import PairsOnDisk

    kinds = {known: getattr(data, known) for known in data.__all__}
    classes = {
        known.lower(): known
        for known, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, PairsOnDisk)
    }
    plain = "".join(c for c in name.lower() if c.isalnum())
    if plain not in classes:
        raise UserError(f"unknown data set {name!r}; known: {', '.join(classes)}.")
    return classes[plain]


def describe(data: "PairsOnDisk", report: "DataReport", limit: int) -> str:
    """The report of a check as text."""
    names = data.label_space.names
    lines = [f"{type(data).__name__} in {data.root}"]
    for split in report.splits:
        seen = [name for name, pixels in zip(names, split.counts, strict=False) if pixels]
        counts = f"{counted(len(split.pairs), 'sample')}, {len(seen)} of {len(names)} classes"
        lines.append(f"  {split.title}: {counts}")
    lines += [f"  {note}" for note in report.notes]
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in [*report.problems, *report.warnings]:
        kinds[problem.kind].append(problem)
    for kind, problems in sorted(kinds.items()):
        lines += ["", f"{kind}: {len(problems)}"]
        lines += [f"  {below(data.root, problem)}" for problem in problems[:limit]]
        lines += [f"  and {len(problems) - limit} more"] if len(problems) > limit else []
    total, files = len(report.problems), len({problem.file for problem in report.problems})
    end = f"Problems: {total}, in {counted(files, 'file')}." if files else "No problems found."
    end += f" Warnings: {len(report.warnings)}." if report.warnings else ""
    return "\n".join([*lines, "", end])


def below(root: Path, problem: "Problem") -> str:
    """The message of a problem, whose files are named as seen from the root."""
    return problem.message.replace(f"{root}/", "").replace("ROOT", str(root))


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def say(text: str) -> None:
    """Print a line to the standard output."""
    print(text, flush=True)
