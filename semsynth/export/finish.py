"""Completion of an export: manifest, classes, splits, report and contact sheets."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semsynth.data import labels
from semsynth.data.labels import LabelSpace
from semsynth.export.filters import Thresholds
from semsynth.export.job import SPLITS, Plan, lock_of, records
from semsynth.export.writers import DROPPED, Writer
from semsynth.files import write_text
from semsynth.images import colour_mask, from_uint8, image_grid, save_png

ROWS, COLUMNS = 6, 6  # of a sheet
REMOVED = "removed_by_"


def finish(plan: Plan, space: LabelSpace, thresholds: Thresholds, writer: Writer) -> bool:
    """Complete the data set if all chunks are done."""
    if not all(plan.part(chunk).is_file() for chunk in plan.chunks):
        return False
    with lock_of(plan.output):
        if not (plan.output / "manifest.jsonl").is_file():
            lines = list(records(plan))
            write_sheets(plan, space, writer, lines)
            write_classes(plan.output, space)
            for split in SPLITS:
                names = [f"{record['name']}\n" for _, record in lines if record["split"] == split]
                if names:
                    write_text(plan.output / "splits" / f"{split}.txt", "".join(names))
            report = summary([record for _, record in lines], space, thresholds)
            write_text(plan.output / "report.json", json.dumps(report, indent=1) + "\n")
            write_text(plan.output / "report.md", as_markdown(report))
            for part in plan.output.glob("*/*/.*.part"):  # of killed processes
                part.unlink()
            text = "".join(json.dumps(record) + "\n" for _, record in lines)
            write_text(plan.output / "manifest.jsonl", text)
    return True


def write_classes(output: Path, space: LabelSpace) -> None:
    """``classes.txt`` as ``Folder`` reads it, and ``classes.json`` for other programs."""
    labels.write_classes(output / "classes.txt", space.names, space.palette)
    classes = {
        "names": space.names,
        "palette": space.palette,
        "ignore_index": space.ignore_index,
        "class_of_value": {str(i): i for i in (*range(space.num_classes), space.ignore_index)},
    }
    write_text(output / "classes.json", json.dumps(classes, indent=1) + "\n")


def summary(
    lines: list[dict[str, Any]], space: LabelSpace, thresholds: Thresholds
) -> dict[str, Any]:
    """Statistics of exported and dropped samples."""
    kept = [record for record in lines if record["split"] != DROPPED]
    reasons = Counter(reason for record in lines for reason in record.get("dropped_for", []))
    filters = sorted({key for record in lines for key in record if key.startswith(REMOVED)})
    return {
        "samples": len(lines),
        "kept": len(kept),
        "splits": dict(Counter(record["split"] for record in lines)),
        "dropped_for": dict(reasons),
        "labelled_pixels": mean([record["labelled"] for record in kept]),
        "removed_pixels": {
            key.removeprefix(REMOVED): mean([record[key] for record in lines]) for key in filters
        },
        "confidence": {
            "all": mean([r["confidence"] for r in lines]),
            "kept": mean([r["confidence"] for r in kept]),
        },
        "class_labelled": by_class("class_labelled", lines, space),
        "class_agreement": by_class("class_agreement", lines, space),
        "thresholds": thresholds.to_json(),
    }


def by_class(key: str, lines: list[dict[str, Any]], space: LabelSpace) -> dict[str, float | None]:
    """Mean of a per-class column over the samples that have the class."""
    rows = [record[key] for record in lines if key in record]
    return {
        name: mean([row[c] for row in rows if row[c] is not None])
        for c, name in enumerate(space.names)
        if rows
    }


def mean(values: list[float]) -> float | None:
    """Mean to five digits; None without values."""
    return round(sum(values) / len(values), 5) if values else None


def as_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["# Export", "", f"{report['kept']} of {report['samples']} samples were kept.", ""]
    for title, counts in (("split", report["splits"]), ("dropped for", report["dropped_for"])):
        if counts:
            lines += [f"| {title} | samples |", "|---|---|"]
            lines += [*(f"| {name} | {count} |" for name, count in sorted(counts.items())), ""]
    lines += [f"Labelled share of the pixels of kept samples: {report['labelled_pixels']}.", ""]
    lines += [f"- removed by {name}: {n}" for name, n in report["removed_pixels"].items()]
    agreement = report["class_agreement"]
    lines += ["", "| class | labelled pixels | IoU of judges and mask |", "|---|---|---|"]
    for name, labelled in report["class_labelled"].items():
        lines.append(f"| {name} | {labelled} | {agreement.get(name, 'not judged')} |")
    if report["thresholds"]:
        lines += ["", f"Thresholds: `{json.dumps(report['thresholds'])}`."]
    return "\n".join([*lines, ""])


def write_sheets(
    plan: Plan, space: LabelSpace, writer: Writer, lines: list[tuple[int, dict[str, Any]]]
) -> None:
    """Contact sheets of the first, best, worst and dropped samples in ``sheets``."""
    kept = [line for line in lines if line[1]["split"] != DROPPED]
    dropped = [line for line in lines if line[1]["split"] == DROPPED]
    ordered = sorted(kept, key=lambda line: -line[1]["confidence"])
    sheets = {"first": kept, "best": ordered, "worst": ordered[::-1], DROPPED: dropped}
    for name, chosen in sheets.items():
        if chosen:
            save_png(sheet(chosen, space, writer), plan.output / "sheets" / f"{name}.png")


def sheet(lines: list[tuple[int, dict[str, Any]]], space: LabelSpace, writer: Writer) -> Tensor:
    """A contact sheet (3, height, width), uint8, of samples: label map and image side by side."""
    some = lines[: ROWS * COLUMNS]
    pairs = [writer.read(record, chunk) for chunk, record in some]
    images = from_uint8(torch.stack([image for image, _ in pairs]))
    painted = colour_mask(torch.stack([mask for _, mask in pairs]), space.palette)
    blank = images.new_ones(-len(some) % COLUMNS, *images.shape[1:])
    images, painted = torch.cat([images, blank]), torch.cat([painted, blank])
    columns = [x[i::COLUMNS] for i in range(COLUMNS) for x in (painted, images)]
    return image_grid(columns)
