"""Edits in a region, outside of which the image stays, beside the same edits without one.

``python -m benchmarks.studies.editing_regions --output DIR`` gives each drag a region as a user
would paint it: the part that it moves, where that goes and the way between, with a margin; and the
whole head. Scores are those of ``editing``, with the change outside of the region, and the time of
a preview in a region over that of one without, both in turn. Rows that are there are skipped.
"""

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor

from benchmarks.results import append_result, read_results
from benchmarks.studies import editing_tasks as edits
from benchmarks.studies.editing import (
    NEAR,
    TRUNCATION,
    Scores,
    batches,
    change_at,
    distance_to_way,
    edit,
    judge_parts,
)
from benchmarks.studies.editing_tasks import Task
from semsynth.editing import Canvas, ClosedLoop, DragOptimisation, Editor, Mark, Session
from semsynth.editing.pairs import on_canvas
from semsynth.files import write_text
from semsynth.methods.opening import load_editor
from semsynth.metrics import TrackingAccuracy
from semsynth.metrics.protocol import installed_versions
from semsynth.networks.motion.geometry import pixel_grid, warp

MARGIN = 4 / 64  # of the canvas
REGIONS = ("none", "part", "head")
TIMED = 40  # previews of each kind


def main(output: Path, checkpoint: str = "toy_portrait", drags: int = 200) -> None:
    """Measure editors with and without regions, and write rows and a table.

    Args:
        output: Directory.
        checkpoint: A transformer of a prior of portraits.
        drags: Drags.
    """
    torch.set_grad_enabled(False)
    ours = load_editor(checkpoint)
    canvas = Canvas.of(ours)
    card = {"drags": drags, "versions": installed_versions()}
    rows = {r["run"]: r["scores"] for r in read_results(output) if r["protocol"] == card}
    task = edits.drag_task(canvas, drags, TRUNCATION, 0)
    editors: dict[str, Editor] = {
        "ours, open loop": ours,
        "ours, closed loop": ClosedLoop(ours, canvas),
        "DragGAN-style": DragOptimisation(canvas),
    }
    for name, editor in editors.items():
        if f"{name}, none" in rows:
            continue
        Console(stderr=True).print(f"Measuring {name}.")
        edited = torch.cat([edit(editor, canvas, task.rows(rows)) for rows in batches(len(task))])
        for kind in REGIONS:
            rows[f"{name}, {kind}"] = measure(canvas, task, edited, kind)
        if not isinstance(editor, DragOptimisation):
            rows[f"{name}, part"] |= time_ratio(canvas, editor, task)
        for kind in REGIONS:
            run = f"{name}, {kind}"
            append_result(output, {"run": run, "scores": rows[run], "protocol": card})
    shown = table(rows)
    write_text(output / "regions.md", shown)
    Console().print(shown)


def measure(canvas: Canvas, task: Task, edited: Tensor, kind: str) -> Scores:
    """Scores of edits shown in regions of a kind."""
    region = region_of(task, "part" if kind == "none" else kind)
    tracking, images = TrackingAccuracy(), []
    for rows in batches(len(task)):
        some, part = task.rows(rows), region[rows]
        held = canvas if kind == "none" else canvas.held(some.w_plus, part[:, None])
        image, now = held.draw_with_landmarks(edited[rows])
        images.append(on_canvas(image, canvas.size))
        tracking.update(some.image, canvas.landmarks(some.w_plus), now, some.requests)
    after = torch.cat(images)
    scores = judge_parts(task, after) | {k: float(v) for k, v in tracking.compute().items()}
    scores["change_outside_region_toy"] = float(change_at(~region, task.image, after).mean())
    return scores


def region_of(task: Task, kind: str) -> Tensor:
    """Regions (N, H, W), bool, as a user would paint them."""
    size, way = task.image.shape[-1], task.requests.motions[:, 0, :2]
    seen = edits.labels(task.image)
    head = torch.isin(seen, edits.classes_of(edits.PARTS))
    part = seen == edits.part_at(seen, task.requests.points[:, 0])[:, None, None]
    is_small = edits.in_small_parts(task)[:, None, None]
    moving = torch.where(is_small, part, head) if kind == "part" else head
    places = [moving, *(shifted(moving, share * way) for share in (0.5, 1.0))]
    painted = dilated(torch.stack(places).any(0), round(MARGIN * size))
    return painted | (distance_to_way(task) <= NEAR * size)


def shifted(region: Tensor, way: Tensor) -> Tensor:
    """Regions (N, H, W), bool, moved by vectors (N, 2)."""
    flow = -way[:, :, None, None].expand(-1, -1, *region.shape[1:])
    return warp(region.float()[:, None], flow)[:, 0] > 0.5


def dilated(region: Tensor, radius: int) -> Tensor:
    """Regions (N, H, W), bool, with all pixels within a radius."""
    disc = (pixel_grid(2 * radius + 1, 2 * radius + 1, region.device) - radius).norm(
        dim=0
    ) <= radius
    return F.conv2d(region.float()[:, None], disc.float()[None, None], padding=radius)[:, 0] > 0.5


def time_ratio(canvas: Canvas, editor: Editor, task: Task) -> Scores:
    """Median time of a preview in a region over that of one without, taken in turn."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for i in range(min(TIMED, len(task))):
        row = task.rows(slice(i, i + 1))
        session = Session.from_sample(canvas, editor, i)
        (x, y), (dx, dy, _) = (
            row.requests.points[0, 0].tolist(),
            row.requests.motions[0, 0].tolist(),
        )
        region = region_of(row, "part")[0]
        for within in (False, True):  # features, and what the region holds, are computed once
            session.preview([Mark(x, y, dx, dy)], region if within else None)
        for within in (False, True, True, False):
            start = time.perf_counter()
            session.preview([Mark(x, y, dx, dy)], region if within else None)
            seconds[within].append(time.perf_counter() - start)
    with_it, without = (torch.tensor(seconds[within]).median() for within in (True, False))
    return {"time_ratio": float(with_it / without)}


COLUMNS = {
    "error, small parts ↓": "drag_error_parts_small",
    "all parts ↓": "drag_error_parts",
    "features ↓": "drag_error_features",
    "change outside ↓": "change_outside_region_toy",
    "time": "time_ratio",
}


def table(rows: dict[str, Scores]) -> str:
    """A Markdown table with a row for each editor and region."""
    lines = [f"| | {' | '.join(COLUMNS)} |", f"|---{'|---' * len(COLUMNS)}|"]
    for name, scores in rows.items():
        cells = [f"{scores[key]:.2f}" if key in scores else "" for key in COLUMNS.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
