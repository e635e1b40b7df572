"""Compare editors on a toy prior, beside the renderer that knows the truth.

``python -m benchmarks.studies.editing --checkpoint OURS --official PAPER --output DIR`` writes
``results.jsonl``, a table ``layout.md`` and strips of pictures. Editors that have a row already
are skipped. Two judges measure what was done: the centres of parts as a segmenter sees them, which
no method knows of, and the generator's features, which the closed loop and the optimisation use.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor

from benchmarks.figures.editing_strips import write_strips
from benchmarks.results import append_result, read_results
from benchmarks.studies import editing_tasks as edits
from benchmarks.studies.editing_baselines import BestOfJitters, Directions, NoEdit, Ridge
from benchmarks.studies.editing_tasks import SEGMENTER, Task
from semsynth.editing import Canvas, ClosedLoop, DragOptimisation, Editor, Mark
from semsynth.editing.pairs import PairRenderer, on_canvas
from semsynth.files import write_text
from semsynth.methods import UserControllableLT
from semsynth.methods.opening import load_editor
from semsynth.metrics import EditingAccuracy, FrechetDistance, TrackingAccuracy
from semsynth.metrics.class_diversity import weights_within
from semsynth.metrics.perceptual import build_taps, tap_distance
from semsynth.metrics.protocol import installed_versions
from semsynth.networks.motion.geometry import pixel_grid

ANCHORS = (1, 4, 8)
NEAR = 12 / 64  # of the canvas: what is farther from a drag than this should stay
TRUNCATION = 0.7
ROUNDS, STEPS = 2, 100  # of the closed loop and of the optimisation
TIMED = 24  # edits, one by one
SHOWS = {  # marks of the strips, by name and seed
    "drag-9": [[Mark(32, 33, 6, 0)], [Mark(32, 33, 6, 0), Mark(30, 58)]],
    "zoom-9": [[Mark(32, 33, log_expansion=-0.2)], [Mark(32, 33, log_expansion=0.2)]],
}
ORACLE = "oracle (renderer)"
Scores = dict[str, float]
Builder = Callable[[], tuple[Editor, Canvas]]


def main(
    output: Path,
    checkpoint: str = "toy_portrait",
    official: str | None = None,
    drags: int = 500,
    others: int = 200,
    slow_share: float = 1.0,
) -> None:
    """Measure all editors, then write the table and the strips.

    Args:
        output: Directory.
        checkpoint: Ours; by default what ships.
        official: One that was trained by the paper's recipe.
        drags: Single drags.
        others: Edits of each other kind.
        slow_share: Share of the edits for the two slow editors.
    """
    torch.set_grad_enabled(False)
    console = Console(stderr=True)
    ours = load_editor(checkpoint)
    tasks = draw_tasks(Canvas.of(ours), drags, others)
    builders = editors_of(ours, official)
    card = {
        "metrics": {"edits": {"drags": drags, "others": others}},
        "truncation": TRUNCATION,
        "slow_share": slow_share,
        "versions": installed_versions(),
    }
    rows = {r["run"]: r["scores"] for r in read_results(output) if r["protocol"] == card}
    for name, build in builders.items():
        if name in rows:
            continue
        editor, canvas = build()
        console.print(f"Measuring {name}.")
        slow = isinstance(editor, DragOptimisation | BestOfJitters)
        rows[name] = {}
        for task in tasks:
            some = task.rows(slice(round(slow_share * len(task)))) if slow else task
            rows[name] |= measure(editor, canvas, some)
        rows[name] |= seconds(editor, canvas, tasks[0])
        append_result(output, {"run": name, "scores": rows[name], "protocol": card})
    if ORACLE not in rows:
        rows[ORACLE] = oracle(drags, others)
        row = {"run": ORACLE, "oracle": True, "scores": rows[ORACLE], "protocol": card}
        append_result(output, row)
    shown = table({name: rows[name] for name in (*builders, ORACLE)})
    write_text(output / "layout.md", shown)
    drawn = ("ours, closed loop", "DragGAN-style")
    write_strips({name: builders[name]() for name in drawn}, SHOWS, output)
    console.print(shown)


def draw_tasks(canvas: Canvas, drags: int, others: int) -> list[Task]:
    """Single drags, drags with anchors that editors are told of or not, and zooms."""
    tasks = [edits.drag_task(canvas, drags, TRUNCATION, 0)]
    for number in ANCHORS:
        task = edits.drag_task(canvas, others, TRUNCATION, number)
        tasks += [task, edits.without_anchors(task)]
    return [*tasks, edits.zoom_task(canvas, others, TRUNCATION)]


def editors_of(ours: UserControllableLT, official: str | None) -> dict[str, Builder]:
    """What builds each editor, with its canvas, by name."""
    canvas = Canvas.of(ours)
    renderer: PairRenderer = ours.renderer
    builders: dict[str, Builder] = {
        "no edit": lambda: (NoEdit(), canvas),
        "ridge regression": lambda: (Ridge(renderer), canvas),
        "closed-form directions": lambda: (Directions(canvas, renderer.estimator), canvas),
        "ours, open loop": lambda: (ours, canvas),
        "ours, closed loop": lambda: (ClosedLoop(ours, canvas, ROUNDS), canvas),
        "DragGAN-style": lambda: (DragOptimisation(canvas, STEPS), canvas),
        "best of 64 jitters": lambda: (BestOfJitters(canvas, renderer.estimator), canvas),
    }
    if official is not None:
        other = load_editor(official)
        builders["official recipe"] = lambda: (other, Canvas.of(other))
    return builders


def batches(number: int, size: int = 50) -> tuple[Tensor, ...]:
    """Rows, so many at a time."""
    return torch.arange(number).split(size)


def measure(editor: Editor, canvas: Canvas, task: Task) -> Scores:
    """Scores of an editor at a task, by both judges and for the images, as ``TASK/SCORE``."""
    edited = torch.cat([edit(editor, canvas, task.rows(rows)) for rows in batches(len(task))])
    after = torch.cat([on_canvas(canvas.draw(part), canvas.size) for part in edited.split(64)])
    scores = judge_features(canvas, task, edited) if task.name == "drag" else {}
    scores |= judge_images(task, after)
    return {f"{task.name}/{name}": value for name, value in scores.items()}


def judge_features(canvas: Canvas, task: Task, edited: Tensor) -> Scores:
    """Scores by the generator's features."""
    tracking = TrackingAccuracy()
    for rows in batches(len(task)):
        some = task.rows(rows)
        before, now = canvas.landmarks(some.w_plus), canvas.landmarks(edited[rows])
        tracking.update(some.image, before, now, some.requests)
    return {name: float(value) for name, value in tracking.compute().items()}


def edit(editor: Editor, canvas: Canvas, task: Task) -> Tensor:
    """Latents of a task's edits."""
    width = int(task.supplied.sum(dim=1).amax())  # those that move come first
    told = task.requests._replace(points_mask=task.supplied)
    points, motions, points_mask = (x[:, :width] for x in told)
    features = canvas.features(task.w_plus)
    return editor.edit(task.w_plus, features, points, motions, points_mask)


def judge_images(task: Task, after: Tensor) -> Scores:
    """Scores by the parts of images, their distribution, and their change far from the drag."""
    distance = FrechetDistance(SEGMENTER)
    for rows in batches(len(task)):
        distance.update(image=task.image[rows], fake=after[rows])
    scores = judge_parts(task, after) | {k: float(v) for k, v in distance.compute().items()}
    if task.requests.motions[:, 0, :2].any():
        scores["change_outside_toy"] = float(change_outside(task, after).mean())
    return scores


def judge_parts(task: Task, after: Tensor) -> Scores:
    """Scores by the centres of parts, all and small ones."""
    parts, small = (EditingAccuracy(f"parts:{SEGMENTER}") for _ in range(2))
    for rows in batches(len(task)):
        some = task.rows(rows)
        parts.update(some.image, after[rows], some.requests)
    rows = edits.in_small_parts(task)
    some = task.rows(rows)
    small.update(some.image, after[rows], some.requests)
    scores = {name: float(value) for name, value in parts.compute().items()}
    return scores | {f"{name}_small": float(value) for name, value in small.compute().items()}


def change_outside(task: Task, after: Tensor) -> Tensor:
    """Perceptual distance (N,) at pixels that are not near the way from start to target."""
    outside = distance_to_way(task) > NEAR * after.shape[-1]
    return change_at(outside, task.image, after)


def distance_to_way(task: Task) -> Tensor:
    """Distance (N, H, W) in pixels of each pixel from the way of a task's drag."""
    size = task.image.shape[-1]
    start, way = task.requests.points[:, 0], task.requests.motions[:, 0, :2]
    grid = pixel_grid(size, size, start.device).permute(1, 2, 0)
    offset = grid - start[:, None, None]  # (N, H, W, 2)
    share = (offset * way[:, None, None]).sum(3) / way.square().sum(1)[:, None, None]
    nearest = share.clamp(0, 1)[..., None] * way[:, None, None]
    return (offset - nearest).norm(dim=3)


def change_at(pixels: Tensor, image: Tensor, after: Tensor) -> Tensor:
    """Perceptual distance (N,) of two batches of images at some pixels (N, H, W), bool."""
    network = build_taps(SEGMENTER)
    distances = []
    for rows in batches(len(image)):
        taps = [network(x[rows]) for x in (image, after)]
        shares = [weights_within(pixels[rows], tap.shape[-2:]) for tap in taps[0]]
        a, b = ([t * w.sqrt() for t, w in zip(side, shares, strict=True)] for side in taps)
        distances.append(tap_distance(a, b))
    return torch.cat(distances)


def seconds(editor: Editor, canvas: Canvas, task: Task) -> Scores:
    """Median and 95th percentile of the seconds of an edit, from latents to the image."""
    taken = []
    for row in batches(min(TIMED, len(task)), 1):
        start = time.perf_counter()
        canvas.draw(edit(editor, canvas, task.rows(row)))
        taken.append(time.perf_counter() - start)
    quantiles = torch.tensor(taken).quantile(torch.tensor([0.5, 0.95]))
    return {"seconds_p50": float(quantiles[0]), "seconds_p95": float(quantiles[1])}


def oracle(drags: int, others: int) -> Scores:
    """What the judges say of the renderer, which does exactly what it is asked."""
    scores: Scores = {}
    drag, moved = edits.renderer_drags(drags)
    for task, edited in ((drag, moved.image), edits.renderer_zooms(others)):
        scores |= {f"{task.name}/{k}": v for k, v in judge_images(task, edited).items()}
    return scores


COLUMNS = {
    "error, small parts ↓": ("drag/drag_error_parts_small", ".2f"),
    "error, all parts ↓": ("drag/drag_error_parts", ".2f"),
    "error, features ↓": ("drag/drag_error_features", ".2f"),
    "gain, small parts": ("drag/drag_gain_parts_small", ".2f"),
    "angle, small parts ↓": ("drag/drag_angle_parts_small", ".0f"),
    "drift of 4 anchors, told ↓": ("drag, 4 anchors/anchor_drift_parts", ".2f"),
    "not told": ("drag, 4 anchors not told/anchor_drift_parts", ".2f"),
    "zoom error ↓": ("zoom/zoom_error_parts", ".3f"),
    "fd_toy ↓": ("drag/fd_toy", ".3f"),
    "change outside ↓": ("drag/change_outside_toy", ".3f"),
    "ms, median ↓": ("seconds_p50", ".0f"),
    "95 %": ("seconds_p95", ".0f"),
}


def table(rows: dict[str, Scores]) -> str:
    """A Markdown table with a row for each editor."""
    lines = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for name, scores in rows.items():
        scores = {k: 1000 * v if k.startswith("seconds") else v for k, v in scores.items()}
        cells = [format(scores[k], style) if k in scores else "" for k, style in COLUMNS.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
