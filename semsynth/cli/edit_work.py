"""What ``semsynth edit`` does: build an editor, take up a session, edit, write."""

import argparse

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from semsynth.cli.devices import choose_device
from semsynth.data.decode import read_image
from semsynth.editing import (
    Canvas,
    ClosedLoop,
    DragOptimisation,
    EditError,
    Editor,
    Mark,
    Report,
    Session,
    frames_of,
    save_gif,
    save_mp4,
)
from semsynth.editing.pairs import default_canvas
from semsynth.images import save_png, to_uint8
from semsynth.methods import UserControllableLT
from semsynth.methods.opening import load_editor
from semsynth.weights import MissingWeightsError
from semsynth.weights.priors import find_prior, load_generator, read_card

NUM_TOKENS = 6  # the paper's
SMALLEST = 192  # pixels; smaller images are enlarged in films


def edit_files(options: argparse.Namespace) -> None:
    """Edit once, and write pictures, film and trajectory."""
    marks = parse_marks(options)
    editor, canvas = build_editor(options)
    session = take_up(options, canvas, editor)
    if options.style is not None:
        session.restyle(options.style, options.truncation)
    before = session.image()
    edit = session.commit(marks)
    save_png(to_uint8(before), options.output / "before.png")
    save_png(to_uint8(edit.image), options.output / "after.png")
    scale = max(1, -(-SMALLEST // before.shape[-1]))
    frames = frames_of(canvas, session.steps)
    save_gif(frames, options.output / "edit.gif", scale)
    if options.mp4:
        save_mp4(frames, options.output / "edit.mp4", scale)
    session.save(options.output / "trajectory.json")
    print_reports(marks, edit.reports)


def parse_marks(options: argparse.Namespace) -> list[Mark]:
    """The marks of the command line.

    Raises:
        EditError: There is none that moves anything, or one is not written as it should be.
    """
    drags = [Mark(*numbers(text, "--drag X,Y,DX,DY", 4)) for text in options.drag]
    anchors = [Mark(*numbers(text, "--anchor X,Y", 2)) for text in options.anchor]
    zooms = [numbers(text, "--zoom X,Y,S", 3) for text in options.zoom]
    marks = [*drags, *(Mark(x, y, log_expansion=s) for x, y, s in zooms), *anchors]
    if not drags and not zooms and options.style is None:
        raise EditError("There is nothing to do: give a --drag, a --zoom or a --style.")
    return marks


def numbers(text: str, what: str, count: int) -> list[float]:
    """Numbers between commas.

    Raises:
        EditError: There are more, fewer or other things.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise EditError(f"{what} wants {count} numbers between commas, got {text!r}.")
    return values


def build_editor(options: argparse.Namespace) -> tuple[Editor, Canvas]:
    """The editor and canvas of a transformer, or of a prior alone."""
    device = choose_device(options.device)
    method = load_method(options)
    if method is None:
        generator = load_generator(options.prior).to(device)
        card = read_card(find_prior(options.prior))
        resolution = card.get("feature_resolution", min(64, generator.image_size))
        canvas = Canvas(generator, default_canvas(generator), resolution, NUM_TOKENS)
    else:
        canvas = Canvas.of(method.to(device).requires_grad_(False))
    editor = DragOptimisation(canvas) if method is None or options.optimise else method
    return (ClosedLoop(editor, canvas) if options.closed_loop else editor), canvas


def load_method(options: argparse.Namespace) -> UserControllableLT | None:
    """The transformer of the command line, or the one that ships with the prior, if any."""
    if options.ckpt_path is not None:
        return load_editor(options.ckpt_path)
    try:
        return load_editor(options.prior)
    except MissingWeightsError:
        return None


def take_up(options: argparse.Namespace, canvas: Canvas, editor: Editor) -> Session:
    """A session from a sample, a photo or a file."""
    if options.trajectory is not None:
        return Session.load(options.trajectory, canvas, editor)
    if options.image is None:
        return Session.from_sample(canvas, editor, options.seed, options.truncation)
    photo = read_image(options.image).float() / 127.5 - 1
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("Inverting")
        return Session.from_image(
            canvas,
            editor,
            photo,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def print_reports(marks: list[Mark], reports: tuple[Report, ...]) -> None:
    """What became of each mark."""
    table = Table("mark", "requested", "achieved", "reached")
    for mark, report in zip(marks, reports, strict=True):
        motions = [
            f"{dx:+.1f}, {dy:+.1f}, {s:+.2f}" for dx, dy, s in (report.requested, report.achieved)
        ]
        table.add_row(f"{mark.x:g}, {mark.y:g}", *motions, "yes" if report.reached else "no")
    Console().print(table)
