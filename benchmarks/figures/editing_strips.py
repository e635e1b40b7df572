"""Strips of pictures that show edits frame by frame, with their marks drawn on them."""

from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from semsynth.editing import Canvas, Editor, Mark, Session, frames_of
from semsynth.images import save_png

SCALE = 3  # of each pixel of the image
SMOOTH = 4  # marks are drawn this much larger, and then reduced
FRAMES = 4
DRAG, ANCHOR, ZOOM = (255, 220, 0, 255), (0, 200, 255, 255), (255, 80, 200, 255)


def write_strips(
    editors: dict[str, tuple[Editor, Canvas]], shows: dict[str, list[list[Mark]]], output: Path
) -> None:
    """Write ``layout_NAME.png`` for each show, ``NAME-SEED``: a row for editor and marks."""
    for key, rows in shows.items():
        name, seed = key.rsplit("-", 1)
        strips = [
            strip(Session.from_sample(canvas, editor, int(seed)), marks)
            for editor, canvas in editors.values()
            for marks in rows
        ]
        save_png(torch.cat(strips, dim=1), output / f"layout_{name}.png")


def strip(session: Session, marks: list[Mark]) -> Tensor:
    """The image with its marks, and frames of the way to what they made: (3, H, W), uint8."""
    session.commit(marks)
    frames = frames_of(session.canvas, session.steps, FRAMES)
    return torch.cat([drawn(frame, marks, session.canvas.size) for frame in frames], dim=2)


def drawn(image: Tensor, marks: list[Mark], size: int) -> Tensor:
    """An enlarged image (3, H, W), uint8, with smooth marks."""
    picture = to_pil_image(image.repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2))
    side = picture.width * SMOOTH
    layer = Image.new("RGBA", (side, side))
    for mark in marks:
        draw_mark(ImageDraw.Draw(layer), mark, side / size)
    small = layer.resize(picture.size, Image.Resampling.LANCZOS)
    return pil_to_tensor(Image.alpha_composite(picture.convert("RGBA"), small).convert("RGB"))


def draw_mark(pen: ImageDraw.ImageDraw, mark: Mark, unit: float) -> None:
    """Draw a dot, with a line to the target of a drag or a circle for a zoom."""
    x, y, radius = (mark.x + 0.5) * unit, (mark.y + 0.5) * unit, 0.9 * unit
    end = x + mark.dx * unit, y + mark.dy * unit
    width = round(0.6 * unit)
    if mark.dx or mark.dy:
        colour = DRAG
        pen.line((x, y, *end), fill=colour, width=width)
        pen.circle(end, radius, outline=colour, width=width)
    elif mark.log_expansion:
        colour = ZOOM
        pen.circle((x, y), 6 * unit, outline=colour, width=width)
    else:
        colour = ANCHOR
    pen.circle((x, y), radius, fill=colour)
