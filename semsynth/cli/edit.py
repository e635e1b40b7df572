"""``semsynth edit``: drag, zoom and hold points of an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semsynth.errors import UsageError, UserError, require_writable

if TYPE_CHECKING:
    import torch

    from semsynth.editing import Canvas, Editor, Mark, Report, Session

NUM_TOKENS = 6  # the paper's
SMALLEST = 192  # pixels; smaller images are enlarged in films


def edit(
    *,
    output: Path,
    prior: str | None = None,
    ckpt_path: str | None = None,
    optimise: bool = False,
    seed: int | None = None,
    image: Path | None = None,
    codes: Path | None = None,
    trajectory: Path | None = None,
    tuned: Path | None = None,
    truncation: float = 0.7,
    drag: Sequence[str] = (),
    anchor: Sequence[str] = (),
    zoom: Sequence[str] = (),
    region: Path | None = None,
    closed_loop: bool = False,
    style: int | None = None,
    mp4: bool = False,
    device: str | None = None,
) -> None:
    r"""Move the content of an image: a sample, a photo, or an earlier edit.

    Points are in pixels of the canvas, x to the right and y down; its size is the image's, at most
    256. All marks of a command act together.

      semsynth edit --prior toy_portrait --seed 3 --drag 32,36,5,0 --output edit
      semsynth edit --ckpt_path RUN/checkpoints/last.ckpt --zoom 32,32,-0.15 \
          --closed_loop --output edit

    The output has before.png, after.png, edit.gif and trajectory.json. To continue the edit, give
    --trajectory FILE in place of --seed.

    Args:
        output: Where to write.
        prior: A shipped one, or its safetensors file. Edits by its shipped transformer, if any, or
            else by optimisation, which takes seconds to minutes.
        ckpt_path: A UserControllableLT: a checkpoint, or a safetensors file with its card.
        optimise: Always edit by optimisation.
        seed: Start from this sample; 0 by default.
        image: Start from a photo.
        codes: Start from the codes of a photo, as ``semsynth invert`` writes them.
        trajectory: Continue a saved trajectory.
        tuned: Difference of the generator by ``semsynth invert --tune``; by default that of the
            codes, if there is one.
        truncation: Truncation of samples.
        drag: X,Y,DX,DY moves a point by DX, DY. Can be repeated.
        anchor: X,Y holds a point. Can be repeated.
        zoom: X,Y,S with the log of the old over the new size: -0.15 comes closer, 0.15 goes away.
            Can be repeated.
        region: Picture whose white part may change; the rest of the image stays.
        closed_loop: Measure and correct the remaining error.
        style: Take the style of the sample of this seed first.
        mp4: Write edit.mp4 too.
        device: A GPU if there is one, else the CPU.
    """
    if (prior is None) == (ckpt_path is None):
        raise UsageError("Give one of --prior and --ckpt_path.")
    if [seed, image, codes, trajectory].count(None) < 3:
        raise UsageError("Give one of --seed, --image, --codes and --trajectory.")
    require_writable(output, "--output")
    from semsynth.cli.preflight import choose_device
    from semsynth.data.decode import read_image
    from semsynth.editing import frames_of, save_gif, save_mp4
    from semsynth.editing.regions import region_of
    from semsynth.images import save_png, to_uint8

    marks = parse_marks(drag, anchor, zoom)
    if len(marks) == len(anchor) and style is None:
        raise UserError("Nothing to do: give a --drag, a --zoom or a --style.")
    place = choose_device(device)
    picture = None if region is None else read_image(region)
    difference = tuned or (codes and difference_of(codes))
    editor, canvas = build_editor(prior, ckpt_path, optimise, closed_loop, place, difference)
    session = take_up(canvas, editor, seed or 0, image, codes, trajectory, truncation)
    if style is not None:
        session.restyle(style, truncation)
    before = session.image()
    part = None if picture is None else region_of(picture, canvas.size)
    done = session.commit(marks, part)
    save_png(to_uint8(before), output / "before.png")
    save_png(to_uint8(done.image), output / "after.png")
    scale = max(1, -(-SMALLEST // before.shape[-1]))
    frames = frames_of(canvas, session.steps)
    save_gif(frames, output / "edit.gif", scale)
    if mp4:
        save_mp4(frames, output / "edit.mp4", scale)
    session.save(output / "trajectory.json")
    print_reports(marks, done.reports)
    print(f"Images, film and trajectory: {output}")


def parse_marks(drag: Sequence[str], anchor: Sequence[str], zoom: Sequence[str]) -> "list[Mark]":
    """The marks of the command line."""
    from semsynth.editing import Mark

    drags = [Mark(*numbers(text, "--drag X,Y,DX,DY")) for text in drag]
    anchors = [Mark(*numbers(text, "--anchor X,Y")) for text in anchor]
    zooms = [numbers(text, "--zoom X,Y,S") for text in zoom]
    return [*drags, *(Mark(x, y, log_expansion=s) for x, y, s in zooms), *anchors]


def numbers(text: str, what: str) -> list[float]:
    """Comma-separated numbers, as many as ``what`` names."""
    count = what.count(",") + 1
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise UserError(f"{what} expects {count} comma-separated numbers, got {text!r}.")
    return values


def build_editor(
    prior: str | None,
    ckpt_path: str | None,
    optimise: bool,
    closed_loop: bool,
    device: "torch.device",
    difference: Path | None = None,
) -> "tuple[Editor, Canvas]":
    """The editor and canvas of a transformer, or of a prior without one, tuned if asked."""
    from semsynth.editing import Canvas, ClosedLoop, DragOptimisation, Editor
    from semsynth.editing.pairs import default_canvas
    from semsynth.inversion.tuning import apply_difference
    from semsynth.methods.opening import load_editor
    from semsynth.weights import MissingWeightsError
    from semsynth.weights.priors import find_prior, load_generator, read_card

    try:
        method = load_editor(ckpt_path or str(prior))
    except MissingWeightsError:
        if prior is None:
            raise
        generator = load_generator(prior).to(device)
        if difference is not None:
            apply_difference(generator, difference)
        card = read_card(find_prior(prior))
        resolution = card.get("feature_resolution", min(64, generator.image_size))
        canvas = Canvas(generator, default_canvas(generator), resolution, NUM_TOKENS)
        editor: Editor = DragOptimisation(canvas)
    else:
        if difference is not None:
            apply_difference(method.generator, difference)
        canvas = Canvas.of(method.to(device).requires_grad_(False))
        editor = DragOptimisation(canvas) if optimise else method
    return (ClosedLoop(editor, canvas) if closed_loop else editor), canvas


def take_up(
    canvas: "Canvas",
    editor: "Editor",
    seed: int,
    image: Path | None,
    codes: Path | None,
    trajectory: Path | None,
    truncation: float,
) -> "Session":
    """A session from a sample, a photo, its codes or a trajectory."""
    from rich.console import Console
    from rich.progress import Progress

    from semsynth.data.decode import read_image
    from semsynth.data.latents import read_codes
    from semsynth.editing import Session
    from semsynth.images import from_uint8

    if trajectory is not None:
        return Session.load(trajectory, canvas, editor)
    if codes is not None:
        return Session.from_codes(canvas, editor, read_codes(codes))
    if image is None:
        return Session.from_sample(canvas, editor, seed, truncation)
    photo = from_uint8(read_image(image))
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("Inverting")
        return Session.from_image(
            canvas,
            editor,
            photo,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def difference_of(codes: Path) -> Path | None:
    """The file of a tuned generator that ``semsynth invert --tune`` wrote beside codes, if any."""
    from semsynth.inversion.tuning import FOLDER

    path = codes.parent / FOLDER / f"{codes.stem}.safetensors"
    return path if path.is_file() else None


def print_reports(marks: "list[Mark]", reports: "tuple[Report, ...]") -> None:
    """Print the requested and achieved motion of each mark."""
    from rich.console import Console
    from rich.table import Table

    table = Table("mark", "requested", "achieved", "reached")
    for mark, report in zip(marks, reports, strict=True):
        motions = [
            f"{dx:+.1f}, {dy:+.1f}, {s:+.2f}" for dx, dy, s in (report.requested, report.achieved)
        ]
        table.add_row(f"{mark.x:g}, {mark.y:g}", *motions, "yes" if report.reached else "no")
    Console().print(table)
