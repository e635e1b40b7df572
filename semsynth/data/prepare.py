"""``semsynth data prepare``: verify, merge and describe a data set, resumably."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semsynth.data import ccp
from semsynth.data.celebamask_hq import MERGED, CelebAMaskHQ
from semsynth.data.check.scan import Scanned, digest_of, in_threads, scan_labels, scan_pair
from semsynth.data.check.splits import DataReport, SplitFiles, check_data, list_splits
from semsynth.data.decode import read_labels
from semsynth.data.disk import PairDataset, PairsOnDisk
from semsynth.data.errors import DataError, Problem
from semsynth.data.labels import Colour, LabelSpace
from semsynth.data.pairs import Pair
from semsynth.data.transforms import PairTransform
from semsynth.files import replaced, write_text

CACHE = "cache"
SCANNED = ".scanned.jsonl"


def prepare(
    data: PairsOnDisk,
    output: Path,
    size: tuple[int, int] | None = None,
    dry_run: bool = False,
    workers: int | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> DataReport:
    """Verify a data set on disk and describe it in files.

    Args:
        data: The data set.
        output: Directory of ``manifest.jsonl``, ``classes.json`` and ``stats.json``.
        size: Height and width to resize all samples to, for ``cache`` of the data set.
        dry_run: List and count files without writing.
        workers: Threads; by default a few more than cores.
        say: Called with progress messages.

    Returns:
        The report. If any file is bad, no description is written.
    """
    try:
        if isinstance(data, ccp.CCP) and data.is_published:
            return prepare_ccp(data, output, size, dry_run, workers, say)
        report = list_splits(data)
        for line in counted(report, data):
            say(line)
        parts = [pair for split in report.splits for pair in split.pairs if pair.part_classes]
        if dry_run:
            for line in planned(report, parts, output, size):
                say(line)
            return report
        if parts and not report.problems:
            report.add(merge_parts(parts, data, workers))
            say(f"merged {len(parts)} label maps into {data.root / MERGED}")
            report = report if report.problems else list_splits(data)
        describe(report, data, output, workers)
        if report.problems:
            return report
        say(f"wrote manifest.jsonl, classes.json and stats.json in {output}")
        if size is not None:
            fill_cache(report, output / CACHE, size, workers)
            say(f"resized all samples; use them with --data.cache {output / CACHE}")
    except OSError as error:
        raise DataError(
            f"{output} or {data.root} cannot be written to ({error}); free disk space or choose "
            "another --output."
        ) from error
    return report


def prepare_ccp(
    data: ccp.CCP,
    output: Path,
    size: tuple[int, int] | None,
    dry_run: bool,
    workers: int | None,
    say: Callable[[str], object],
) -> DataReport:
    """Convert the annotations as they are published to folders, and prepare these."""
    count = len(ccp.annotation_files(data.root))
    if dry_run:
        say(f"would convert {count} samples of {data.root} to folders in {output}")
        return DataReport([], [])
    if problems := ccp.convert(data.root, output, workers):
        return DataReport([], problems)
    say(f"converted {count} samples of {data.root} to folders in {output}")
    return prepare(ccp.CCP(str(output)), output, size, dry_run, workers, say)


def counted(report: DataReport, data: PairsOnDisk) -> list[str]:
    """Number of samples of each split, compared with the published one."""
    by_index = isinstance(data, CelebAMaskHQ) and data.split == "index"
    expected = CelebAMaskHQ.EXPECTED_BY_INDEX if by_index else data.EXPECTED
    lines = []
    for split in report.splits:
        count, wanted = len(split.pairs), expected.get(split.names[0])
        warning = f"; warning: the published split has {wanted}" if wanted else ""
        lines.append(f"{split.title}: {count} samples{warning if count != wanted else ''}")
    return lines


def planned(
    report: DataReport, parts: list[Pair], output: Path, size: tuple[int, int] | None
) -> list[str]:
    """What would be written."""
    lines = [f"would merge the parts of {len(parts)} label maps"] if parts else []
    lines.append(f"would read {report.num_samples} samples and describe them in {output}")
    if size is not None:
        gigabytes = report.num_samples * size[0] * size[1] * 4 / 1e9
        place = output / CACHE
        lines.append(f"would resize them to {size[0]} x {size[1]} in {place}: {gigabytes:.1f} GB")
    return lines


def merge_parts(pairs: list[Pair], data: PairsOnDisk, workers: int | None = None) -> list[Problem]:
    """Merge parts into one label map per sample; the folder is renamed when complete."""
    unfinished = data.root / f"{MERGED}.part"
    unfinished.mkdir(exist_ok=True)
    palette = np.array(data.label_space.palette, np.uint8).tobytes()

    def merge(pair: Pair) -> list[Problem]:
        target = unfinished / f"{pair.name}.png"
        if target.exists():
            return []
        try:
            merged = Image.fromarray(read_labels(pair).numpy())
        except DataError:
            return list(scan_labels(pair, data.lookup()).problems)
        merged.putpalette(palette)  # for viewers; the values are classes
        with replaced(target) as temporary:
            merged.save(temporary, "PNG")
        return []

    found = in_threads(merge, pairs, f"Merging {len(pairs)} label maps", workers)
    problems = [problem for of_one in found for problem in of_one]
    if not problems:
        unfinished.replace(data.root / MERGED)
    return problems


def describe(
    report: DataReport, data: PairsOnDisk, output: Path, workers: int | None = None
) -> None:
    """Read all samples, and write the three files if they are good."""
    output.mkdir(parents=True, exist_ok=True)
    if check_data(data, workers, report, ScanRecord(output / SCANNED).scan).problems:
        return
    lines = [json.dumps(line) for split in report.splits for line in manifest(split, data.root)]
    write_text(output / "manifest.jsonl", "".join(f"{line}\n" for line in lines))
    stats = {split.title: statistics(split, data.label_space) for split in report.splits}
    colours = next((pair.colours for split in report.splits for pair in split.pairs), ())
    described = classes(data.label_space, data.lookup(), colours)
    written = {"classes.json": described, "stats.json": stats}
    for name, content in written.items():
        write_text(output / name, json.dumps(content, indent=1) + "\n")


class ScanRecord:
    """Log file of good samples, so that none is read twice."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lock = threading.Lock()
        self.known = dict(self._lines())

    def scan(self, pair: Pair, lookup: np.ndarray) -> Scanned:
        """The scan of a sample, new or logged; changed files are read again."""
        key = digest_of([pair], lookup)
        if key in self.known:
            return self.known[key]
        seen = scan_pair(pair, lookup)
        if not seen.problems:
            classes = np.flatnonzero(seen.counts)
            counts = {int(c): int(seen.counts[c]) for c in classes}
            line = json.dumps([key, seen.image_size, seen.mask_size, counts])
            with self.lock, self.file.open("a") as opened:
                opened.write(f"\n{line}")  # an interrupted write may have left a partial line
        return seen

    def _lines(self) -> Iterator[tuple[str, Scanned]]:
        text = self.file.read_text(errors="replace") if self.file.is_file() else ""
        for line in text.splitlines():
            try:
                key, *sizes, pixels = json.loads(line)
                counts = np.zeros(256, np.int64)
                counts[[int(c) for c in pixels]] = list(pixels.values())
                image_size, mask_size = (size and (size[0], size[1]) for size in sizes)
            except (AttributeError, IndexError, RecursionError, TypeError, ValueError):
                continue  # an empty or damaged line: its sample is read again
            yield key, Scanned((), image_size, mask_size, counts)


def manifest(split: SplitFiles, root: Path) -> Iterator[dict[str, Any]]:
    """One entry per sample: its files, relative to the root, its splits, height and width."""

    def place(file: Path | None) -> str | None:
        return None if file is None else file.relative_to(root).as_posix()

    for pair, sample in zip(split.pairs, split.samples, strict=True):
        yield {
            "id": pair.name,
            "image": place(pair.image),
            "label": place(pair.labels[0]) if pair.labels else None,
            "instance": place(pair.instance),
            "split": list(split.names),
            "size": sample.image_size or sample.mask_size,
        }


def classes(
    space: LabelSpace, lookup: np.ndarray, colours: Sequence[tuple[Colour, int]] = ()
) -> dict[str, Any]:
    """The label space: names, colours, values or colours on disk, and classes of the evaluation."""
    evaluation = space.evaluation
    of_value = {int(v): int(lookup[v]) for v in np.flatnonzero(lookup >= 0)}
    of_colour = {f"#{r:02x}{g:02x}{b:02x}": of_value[value] for (r, g, b), value in colours}
    return {
        "names": space.names,
        "palette": space.palette,
        "ignore_index": space.ignore_index,
        "unknown": space.unknown,
        "flip_pairs": space.flip_pairs,
        **({"class_of_colour": of_colour} if colours else {"class_of_value": of_value}),
        "evaluation": evaluation
        and {
            "names": evaluation.names,
            "palette": evaluation.palette,
            "ignore_index": evaluation.ignore_index,
            "class_of_class": space.evaluation_classes,
        },
    }


def statistics(split: SplitFiles, space: LabelSpace) -> dict[str, Any]:
    """Frequency of each class in a split: shares of labelled pixels and of images."""
    counts = np.stack([sample.counts for sample in split.samples]).astype(np.int64)  # (N, 256)
    of_classes = counts[:, : space.num_classes]
    labelled, total = int(of_classes.sum()), int(counts.sum())
    return {
        "num_samples": len(counts),
        "names": space.names,
        "pixel_frequency": (of_classes.sum(0) / max(labelled, 1)).tolist(),
        "image_frequency": (of_classes > 0).mean(0).tolist(),
        "unlabelled": (total - labelled) / max(total, 1),
    }


def fill_cache(
    report: DataReport, directory: Path, size: tuple[int, int], workers: int | None = None
) -> None:
    """Resize all samples that are not cached yet, as in training."""
    for split in report.splits:
        exact = "train" not in split.names
        dataset = PairDataset(split.pairs, PairTransform(size), str(directory), exact)
        title = f"Resizing {len(dataset)} samples of {split.title}"

        def read(index: int, dataset: PairDataset = dataset) -> None:
            dataset[index]

        in_threads(read, range(len(dataset)), title, workers)
