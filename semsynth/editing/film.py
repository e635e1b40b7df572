"""Films of a trajectory: frames, and files of them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semsynth.editing.canvas import Canvas
from semsynth.editing.trajectory import Step
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
    codes = torch.cat([step.w_plus for step in steps])
    share = torch.arange(1, between + 1, device=codes.device)[:, None, None, None] / between
    way = torch.lerp(codes[:-1], codes[1:], share).transpose(0, 1).flatten(0, 1)
    path = torch.cat([codes[:1], way])
    return torch.cat([to_uint8(canvas.draw(part)) for part in path.split(8)]).cpu()


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
