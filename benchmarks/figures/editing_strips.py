"""Strips of pictures that show edits frame by frame, with their marks drawn on them."""

from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from semsynth.editing import Canvas, Editor, Mark, Session, frames_of
from semsynth.images import save_png

SCALE = 3  # of each pixel of the image
SMOOTH = 4  # marks are drawn this much larger, and then reduced
FRAMES = 4
DRAG, ANCHOR, ZOOM = (255, 220, 0), (0, 200, 255), (255, 80, 200)


def write_strips(
    editors: dict[str, tuple[Editor, Canvas]], shows: dict[str, list[list[Mark]]], output: Path
) -> None:
    """Write ``layout_NAME.png`` for each show: a row for each editor and each list of marks.

    Args:
        editors: Editors with their canvas.
        shows: Lists of marks by ``NAME-SEED``, for the sample of that seed.
        output: Directory.
    """
    for name, rows in shows.items():
        seed = int(name.rsplit("-", 1)[1])
        strips = [
            strip(Session.from_sample(canvas, editor, seed), marks)
            for editor, canvas in editors.values()
            for marks in rows
        ]
        save_png(torch.cat(strips, dim=1), output / f"layout_{name.rsplit('-', 1)[0]}.png")


def strip(session: Session, marks: list[Mark]) -> Tensor:
    """The image with its marks, and frames of the way to what they made: (3, H, W), uint8."""
    session.commit(marks)
    frames = frames_of(session.canvas, session.steps, FRAMES)
    return torch.cat([drawn(frame, marks, session.canvas.size) for frame in frames], dim=2)


def drawn(image: Tensor, marks: list[Mark], size: int) -> Tensor:
    """An enlarged image (3, H, W), uint8, with smooth marks."""
    large = image.repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2)
    picture = Image.fromarray(large.permute(1, 2, 0).cpu().numpy())
    side = picture.width
    layer = Image.new("RGBA", (side * SMOOTH, side * SMOOTH))
    pen, unit = ImageDraw.Draw(layer), side * SMOOTH / size
    for mark in marks:
        draw_mark(pen, mark, unit)
    small = layer.resize(picture.size, Image.Resampling.LANCZOS)
    picture = Image.alpha_composite(picture.convert("RGBA"), small).convert("RGB")
    return (
        torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        .view(side, side, 3)
        .permute(2, 0, 1)
    )


def draw_mark(pen: ImageDraw.ImageDraw, mark: Mark, unit: float) -> None:
    """Draw a dot, with a line to the target of a drag or a circle for a zoom."""
    x, y, radius = (mark.x + 0.5) * unit, (mark.y + 0.5) * unit, 0.9 * unit
    colour = DRAG if mark.dx or mark.dy else ZOOM if mark.log_expansion else ANCHOR
    end_x, end_y = x + mark.dx * unit, y + mark.dy * unit
    width = round(0.6 * unit)
    if colour == DRAG:
        pen.line((x, y, end_x, end_y), fill=(*colour, 255), width=width)
        box = (end_x - radius, end_y - radius, end_x + radius, end_y + radius)
        pen.ellipse(box, outline=(*colour, 255), width=width)
    if colour == ZOOM:
        far = 6 * unit
        pen.ellipse((x - far, y - far, x + far, y + far), outline=(*colour, 255), width=width)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 255))
