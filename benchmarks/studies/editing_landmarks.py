"""Drags by the protocol of DragGAN (Pan et al., SIGGRAPH 2023, section 4.2): face landmarks.

``python -m benchmarks.studies.editing_landmarks --detector FILE --output DIR --prior FILE`` draws
pairs of faces and drags 1, 5 or 68 landmarks of the first to where the second has them; the score
is their mean distance afterwards by the same detector, which no editor knows. Any imported prior of
faces will do; ``--checkpoint`` adds the rows of a transformer, ``--official`` that of the paper's
recipe. Editors that have a row already are skipped.
"""

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor, nn

from benchmarks.results import append_result, read_results
from benchmarks.studies.dlib_landmarks import DlibDetector
from benchmarks.studies.editing_baselines import NoEdit
from benchmarks.studies.face_landmarks import NUM_POINTS, detect, load_detector
from semsynth.editing import Canvas, ClosedLoop, DragOptimisation, Editor
from semsynth.editing.pairs import default_canvas, on_canvas
from semsynth.files import write_text
from semsynth.methods.opening import load_editor
from semsynth.metrics import FrechetDistance
from semsynth.metrics.protocol import installed_versions
from semsynth.networks.motion.marks import Marks
from semsynth.networks.noise import sample_seed, seeded_normal
from semsynth.weights.priors import fingerprint, load_generator

CHOSEN = {  # landmarks that are dragged, in the order of dlib
    1: (30,),  # the tip of the nose
    5: (36, 45, 30, 48, 54),  # outer corners of the eyes, nose, corners of the mouth
    68: tuple(range(NUM_POINTS)),
}
PUBLISHED = {  # on FFHQ at 512, in its pixels: 1, 5 and 68 points
    "no edit": (12.93, 11.66, 16.02),
    "UserControllableLT": (11.64, 10.41, 10.15),
    "DragGAN": (2.44, 3.18, 4.73),
}
PAPERS_SIZE = 512
HELD_OUT = 7 << 20  # seed of faces that nothing was trained on
BATCH_SIZE = 32
NUM_TOKENS = 6
Scores = dict[str, float]


def main(
    output: Path,
    detector: Path,
    prior: str | None = None,
    checkpoint: str | None = None,
    official: str | None = None,
    dlib: Path | None = None,
    pairs: int = 1000,
    truncation: float = 0.7,
    fid: str | None = None,
) -> None:
    """Measure all editors, and write their rows and a table.

    Args:
        output: Directory.
        detector: The detector, of ``face_landmarks``.
        prior: A prior of faces; by default that of the checkpoint.
        checkpoint: A transformer of this prior.
        official: One that was trained by the paper's recipe.
        dlib: Predictor of 68 landmarks of dlib, as a second judge (see ``dlib_landmarks``).
        pairs: Pairs of faces.
        truncation: Truncation of the faces.
        fid: Extractor that compares edited images with the others, such as inception.
    """
    torch.set_grad_enabled(False)
    canvas, builders = editors_of(prior, checkpoint, official)
    judges: dict[str, nn.Module] = {"": load_detector(detector)}
    if dlib is not None:
        judges["_dlib"] = DlibDetector(dlib)
    card = {
        "prior": fingerprint(canvas.generator),
        "pairs": pairs,
        "truncation": truncation,
        "size": canvas.size,
        "fid": fid,
        "judges": list(judges),
        "versions": installed_versions(),
    }
    w_plus, target = draw_pairs(canvas, pairs, truncation)
    image, wanted = draw(canvas, w_plus), draw(canvas, target)
    rows = {r["run"]: r["scores"] for r in read_results(output) if r["protocol"] == card}
    for name, editor in builders.items():
        if name not in rows:
            Console(stderr=True).print(f"Measuring {name}.")
            rows[name] = measure(editor, canvas, w_plus, image, wanted, judges, fid)
            append_result(output, {"run": name, "scores": rows[name], "protocol": card})
    shown = table({name: rows[name] for name in builders}, canvas.size)
    write_text(output / "landmarks.md", shown)
    Console().print(shown)


def editors_of(
    prior: str | None, checkpoint: str | None, official: str | None
) -> tuple[Canvas, dict[str, Editor]]:
    """The canvas, and the editors by name."""
    editors: dict[str, Editor] = {"no edit": NoEdit()}
    if checkpoint is None:
        generator = load_generator(str(prior))
        resolution = min(64, generator.image_size)
        canvas = Canvas(generator, default_canvas(generator), resolution, NUM_TOKENS)
    else:
        ours = load_editor(checkpoint)
        canvas = Canvas.of(ours)
        editors |= {"ours, open loop": ours, "ours, closed loop": ClosedLoop(ours, canvas)}
    editors["DragGAN-style"] = DragOptimisation(canvas)
    if official is not None:
        editors["official recipe"] = load_editor(official)
    return canvas, editors


def draw_pairs(canvas: Canvas, number: int, truncation: float) -> tuple[Tensor, Tensor]:
    """Latents (N, num_ws, w_dim) of faces to edit, and of those whose landmarks they get."""
    G = canvas.generator
    z = seeded_normal(sample_seed(HELD_OUT, torch.arange(number)), 2, G.z_dim)
    first, second = G.truncate(G.mapping(z), truncation).unbind(1)
    return G.repeat(first), G.repeat(second)


def draw(canvas: Canvas, w_plus: Tensor) -> Tensor:
    """Images (N, 3, size, size) on the canvas."""
    parts = w_plus.split(BATCH_SIZE)
    return torch.cat([on_canvas(canvas.draw(part), canvas.size) for part in parts])


def measure(
    editor: Editor,
    canvas: Canvas,
    w_plus: Tensor,
    image: Tensor,
    wanted: Tensor,
    judges: dict[str, nn.Module],
    fid: str | None,
) -> Scores:
    """Scores of an editor: distances in pixels of the canvas, seconds an edit, and FID.

    The first judge's landmarks are those that are dragged.
    """
    scores: Scores = {}
    goals = {name: detect(judge, wanted) for name, judge in judges.items()}
    first = next(iter(judges))
    start, goal = detect(judges[first], image), goals[first]
    for number, chosen in CHOSEN.items():
        marks = marks_between(start[:, chosen], goal[:, chosen], canvas.size)
        began = time.perf_counter()
        edited = torch.cat(
            [
                editor.edit(w, canvas.features(w), *(x[rows] for x in marks))
                for rows in torch.arange(len(w_plus)).split(BATCH_SIZE)
                for w in [w_plus[rows]]
            ]
        )
        scores[f"{number}/seconds"] = (time.perf_counter() - began) / len(w_plus)
        after = draw(canvas, edited)
        for name, judge in judges.items():
            missed = distances(detect(judge, after), goals[name], chosen)
            scores[f"{number}/distance{name}"] = float(missed.mean())
        if fid is not None:
            frechet = FrechetDistance(fid)
            frechet.update(image=image, fake=after)
            values = frechet.compute()
            scores |= {f"{number}/{name}": float(value) for name, value in values.items()}
    return scores


def marks_between(start: Tensor, goal: Tensor, size: int) -> Marks:
    """Drags of points (N, K, 2) to others on a canvas."""
    points = start.clamp(0, size - 1)
    motions = F.pad(goal - points, (0, 1))
    return Marks(points, motions, torch.ones_like(points[..., 0], dtype=torch.bool))


def distances(found: Tensor, goal: Tensor, chosen: tuple[int, ...]) -> Tensor:
    """Mean distance (N,) of the chosen ones of landmarks (N, 68, 2)."""
    return (found - goal)[:, chosen].norm(dim=2).mean(dim=1)


def table(rows: dict[str, Scores], size: int) -> str:
    """A Markdown table with a row for each editor, and for what is published."""
    numbers = list(CHOSEN)
    judges = ["", "_dlib"] if any("1/distance_dlib" in scores for scores in rows.values()) else [""]
    heads = [
        f"{n} point{'s' * (n > 1)}{judge.replace('_', ', ')} ↓" for judge in judges for n in numbers
    ]
    heads += ["ms, 1 point", "68 points"]
    lines = [f"| % of the width | {' | '.join(heads)} |", f"|---{'|---' * len(heads)}|"]
    for name, scores in rows.items():
        cells = [
            f"{100 * scores[f'{n}/distance{judge}'] / size:.2f}"
            for judge in judges
            for n in numbers
        ]
        cells += [f"{1000 * scores[f'{n}/seconds']:.0f}" for n in (1, 68)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, values in PUBLISHED.items():
        cells = [f"{100 * value / PAPERS_SIZE:.2f}" for value in values]
        cells += [""] * (len(heads) - len(cells))
        lines.append(f"| published, FFHQ at 512: {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
