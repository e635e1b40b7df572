"""Films of a trajectory: frames, and files of them."""

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semsynth.editing.canvas import Canvas
from semsynth.editing.trajectory import Held, Step, held_canvas
from semsynth.files import write_bytes
from semsynth.images import save_png, to_uint8
from semsynth.networks.motion.marks import EditError

RATE = 12  # frames per second


@torch.inference_mode()
def frames_of(canvas: Canvas, steps: Sequence[Step], between: int = 8) -> Tensor:
    """Frames of a path through the latents of steps.

    Args:
        canvas: The canvas.
        steps: The steps of a session.
        between: Frames from one step to the next.

    Returns:
        Frames (N, 3, H, W), uint8: the first step's, then ``between`` for each other one.
    """
    if between < 1:
        raise EditError(f"There must be at least one frame for each step, got {between}.")
    device = steps[0].w_plus.device
    share = torch.arange(1, between + 1, device=device)[:, None, None] / between
    still = share.new_zeros(1, 1, 1)
    ways = [(steps[0], steps[0], still), *((a, b, share) for a, b in pairwise(steps))]
    return torch.cat([to_uint8(_drawn(canvas, *way)) for way in ways]).cpu()


def _drawn(canvas: Canvas, a: Step, b: Step, share: Tensor) -> Tensor:
    """Images (N, 3, H, W) at shares (N, 1, 1) of the way between steps, layer by layer."""
    most = max((a.held, b.held), key=len)
    ends = [layers_over(step, most) for step in (a, b)]
    codes = [torch.lerp(start, end, share) for start, end in zip(*ends, strict=True)]
    held = [Held(code, layer.region) for code, layer in zip(codes[:-1], most, strict=True)]
    return held_canvas(canvas, held).draw(codes[-1])


def layers_over(step: Step, held: Sequence[Held]) -> list[Tensor]:
    """Latents of a step with as many layers as another one, which show what is there."""
    missing = held[len(step.held) :]
    return step.layers + [step.shown_in(layer.region) for layer in missing]


def save_frames(frames: Tensor, directory: Path) -> None:
    """Write frames (N, 3, H, W) as ``frame_000.png`` and so on."""
    for number, frame in enumerate(frames):
        save_png(frame, directory / f"frame_{number:03d}.png")


def save_gif(frames: Tensor, path: Path, scale: int = 1) -> None:
    """Write frames (N, 3, H, W), uint8, as an endless GIF, enlarged by a factor."""
    pictures = [Image.fromarray(array) for array in enlarged(frames, scale)]
    duration = [1000 // RATE] * len(pictures)
    duration[0] = duration[-1] = 700
    animation = {"save_all": True, "append_images": pictures[1:], "duration": duration, "loop": 0}
    content = io.BytesIO()
    pictures[0].save(content, format="GIF", **animation)
    write_bytes(path, content.getvalue())


def save_mp4(frames: Tensor, path: Path, scale: int = 1) -> None:
    """Write frames (N, 3, H, W), uint8, as an MP4 (H.264) for browsers, enlarged by a factor."""
    try:
        import av
    except ImportError as error:
        raise EditError(
            "MP4 needs PyAV; install it with `pip install 'semsynth[video]'`, or write a GIF."
        ) from error
    arrays = enlarged(frames, scale)
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=RATE)
        stream.height, stream.width = arrays[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for array in arrays:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        film.mux(stream.encode())
    write_bytes(path, content.getvalue())


def enlarged(frames: Tensor, scale: int) -> list[NDArray[np.uint8]]:
    """Frames as arrays (H, W, 3), each pixel repeated."""
    large = frames.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    return list(large.permute(0, 2, 3, 1).contiguous().numpy())
