"""Distance of edits to the right answer, which the renderer of a toy world knows.

``python -m benchmarks.studies.editing_targets --output DIR`` inverts true portraits, drags them,
and compares the results with the portraits as the renderer moves them: by perceptual distance, and
by the mIoU of their segmentation with the true masks. An inversion of the target itself is the
upper bound. Editors that have a row already are skipped.
"""

from dataclasses import replace
from pathlib import Path

import torch
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor
from torchmetrics.functional.classification import multiclass_jaccard_index

from benchmarks.results import append_result, read_results
from benchmarks.studies import editing_tasks as edits
from benchmarks.studies.editing import Scores, batches, edit, editors_of
from benchmarks.studies.editing_tasks import SEGMENTER, WORLD, Task
from semsynth.editing import Canvas, Editor
from semsynth.files import write_text
from semsynth.inversion import default_recipe, invert
from semsynth.inversion.stored_codes import choose_distance
from semsynth.methods.opening import load_editor
from semsynth.metrics.perceptual import build_taps
from semsynth.metrics.protocol import installed_versions
from semsynth.networks.clvae.layouts import IGNORE_INDEX

START, TARGET = "no edit", "target, inverted"


def main(
    output: Path,
    checkpoint: str = "toy_portrait",
    official: str | None = None,
    drags: int = 100,
    steps: int = 300,
) -> None:
    """Measure all editors, and write their rows and a table.

    Args:
        output: Directory.
        checkpoint: Ours; by default what ships.
        official: One that was trained by the paper's recipe.
        drags: Drags, each of a portrait of its own.
        steps: Steps of inversion.
    """
    torch.set_grad_enabled(False)
    console = Console(stderr=True)
    ours = load_editor(checkpoint)
    canvas = Canvas.of(ours)
    card = {"drags": drags, "steps": steps, "versions": installed_versions()}
    rows = {r["run"]: r["scores"] for r in read_results(output) if r["protocol"] == card}
    builders = editors_of(ours, official)
    task, target = edits.renderer_drags(drags)
    if not {*builders, TARGET} <= rows.keys():
        console.print("Inverting portraits and targets.")
        codes = [inverted(canvas, image, steps) for image in (task.image, target.image)]
        task = replace(task, w_plus=codes[0])
    for name in (*builders, TARGET):
        if name in rows:
            continue
        console.print(f"Measuring {name}.")
        w_plus = codes[1] if name == TARGET else edited_by(builders[name](), task)
        image = torch.cat([canvas.draw(part) for part in w_plus.split(50)])
        rows[name] = compare(image, target.image, target.mask)
        append_result(output, {"run": name, "scores": rows[name], "protocol": card})
    shown = table(rows)
    write_text(output / "targets.md", shown)
    Console().print(shown)


def inverted(canvas: Canvas, image: Tensor, steps: int) -> Tensor:
    """Latents (N, num_ws, w_dim) of images, with the stored noise."""
    _, distance = choose_distance(SEGMENTER, "", image.device)
    recipe = replace(default_recipe(steps), noise="stored")
    parts = [invert(canvas.generator, part, recipe, distance).w_plus for part in image.split(50)]
    return torch.cat(parts).detach()


def edited_by(made: tuple[Editor, Canvas], task: Task) -> Tensor:
    """Latents of all edits of a task by an editor, made with its canvas."""
    return torch.cat([edit(*made, task.rows(rows)) for rows in batches(len(task))])


def compare(image: Tensor, target: Tensor, mask: Tensor) -> Scores:
    """Perceptual distance to targets (N, 3, H, W), and mIoU with their masks (N, H, W)."""
    distance = build_taps(SEGMENTER).distance(image, target)
    num_classes = len(WORLD.label_space.names)
    seen = edits.labels(image).long()
    overlap = multiclass_jaccard_index(seen, mask.long(), num_classes, ignore_index=IGNORE_INDEX)
    return {"target_distance": float(distance.mean()), "target_mIoU": 100 * float(overlap)}


def table(rows: dict[str, Scores]) -> str:
    """A Markdown table with a row for each editor."""
    lines = ["| | distance to the target ↓ | mIoU ↑ |", "|---|---|---|"]
    lines += [
        f"| {name} | {scores['target_distance']:.3f} | {scores['target_mIoU']:.1f} |"
        for name, scores in rows.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
