"""A small detector of 68 face landmarks, which judges drags independently of all editors.

``python -m benchmarks.studies.face_landmarks --root DIR --output FILE`` trains one on a folder of
faces, ``SPLIT/images/NUMBER.*`` with ``points68.npz`` (``number`` (N,) and ``points`` (N, 68, 2) in
eighths of a pixel, in the order of dlib), and prints its error on the photos of ``test``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import auto_cli
from rich.progress import track
from torch import Tensor, nn

from semsynth.data.decode import read_image
from semsynth.data.pairs import list_images
from semsynth.editing.pairs import on_canvas
from semsynth.images import from_uint8
from semsynth.networks.motion.geometry import pixel_grid, sample
from semsynth.networks.noise import sample_seed, seeded_uniform
from semsynth.networks.unet import UNet
from semsynth.weights import cards

SIZE = 64  # of the images that it sees
NUM_POINTS = 68
SIZES = {"num_classes": NUM_POINTS, "channels": 12, "depth": 4}
EIGHTHS = 8
MIRRORED = (  # the point of a mirrored face that each point is
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
BATCH_SIZE, LR = 32, 3e-3
TURN, STRETCH, SHIFT = 0.25, 0.15, 5.0  # radians, share and pixels of the augmentation


class LandmarkDetector(nn.Module):
    """Finds landmarks as the means of heat maps (Nibali et al., arXiv 1801.07372)."""

    def __init__(self) -> None:
        super().__init__()
        self.network = UNet(**SIZES)

    def heat(self, image: Tensor) -> Tensor:
        """Probabilities (B, 68, 64, 64) of images (B, 3, H, H) in [-1, 1], each map's sum 1."""
        logits = self.network(on_canvas(image, SIZE))
        return logits.flatten(2).softmax(2).view_as(logits)

    def forward(self, image: Tensor) -> Tensor:
        """Landmarks (B, 68, 2), (x, y) in pixels of the images."""
        points = means_of(self.heat(image))
        return (points + 0.5) * (image.shape[-1] / SIZE) - 0.5


def means_of(heat: Tensor) -> Tensor:
    """Mean positions (B, K, 2) of heat maps (B, K, H, W)."""
    H, W = heat.shape[-2:]
    return torch.einsum("bkhw,chw->bkc", heat, pixel_grid(H, W, heat.device))


def landmark_loss(heat: Tensor, points: Tensor) -> Tensor:
    """Distance of the means from points (B, K, 2), and half that of all heat."""
    H, W = heat.shape[-2:]
    grid = pixel_grid(H, W, heat.device)
    far = (grid - points[..., None, None]).norm(dim=2)  # (B, K, H, W)
    return (means_of(heat) - points).norm(dim=2).mean() + 0.5 * (heat * far).sum((2, 3)).mean()


def read_faces(root: Path, split: str) -> tuple[Tensor, Tensor]:
    """Photos (N, 3, 64, 64), uint8, of a split and their landmarks (N, 68, 2)."""
    with np.load(root / "points68.npz") as stored:
        known = dict(zip(stored["number"].tolist(), stored["points"] / EIGHTHS, strict=True))
    files = list_images(root / split / "images")
    photos = torch.stack([read_image(file) for file in files.values()])
    points = torch.tensor(np.stack([known[int(stem)] for stem in files]), dtype=torch.float32)
    return photos, points


def augmented(image: Tensor, points: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, H) and points turned, stretched, shifted and half of them mirrored."""
    draws = (2 * seeded_uniform(seed, 5) - 1).float()
    angle, scale = TURN * draws[:, 0], 1 + STRETCH * draws[:, 1]
    linear = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1) * scale[:, None]
    linear, shift = linear.view(-1, 2, 2), SHIFT * draws[:, None, 2:4]
    H, W = image.shape[-2:]
    centre = (W - 1) / 2
    grid = pixel_grid(H, W, image.device).permute(1, 2, 0).flatten(0, 1)
    back = (grid - centre - shift) @ torch.linalg.inv(linear).mT + centre
    moved = sample(image, back.unflatten(1, (H, W)), "border")
    points = (points - centre) @ linear.mT + centre + shift
    mirrored = draws[:, 4] < 0
    flipped = torch.stack([2 * centre - points[..., 0], points[..., 1]], 2)[:, MIRRORED]
    image = torch.where(mirrored[:, None, None, None], moved.flip(3), moved)
    return image, torch.where(mirrored[:, None, None], flipped, points)


def train(photos: Tensor, points: Tensor, steps: int, seed: int = 0) -> LandmarkDetector:
    """A detector trained on photos (N, 3, 64, 64), uint8, and points (N, 68, 2)."""
    torch.manual_seed(seed)
    detector = LandmarkDetector().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(detector.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    for step in track(range(steps), "Training the landmark detector"):
        rows = torch.randint(len(photos), (BATCH_SIZE,))
        seeds = sample_seed(seed, torch.arange(BATCH_SIZE), step)
        image, target = augmented(from_uint8(photos[rows]), points[rows], seeds)
        loss = landmark_loss(detector.heat(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return detector.eval().requires_grad_(False)


def detect(detector: nn.Module, image: Tensor) -> Tensor:
    """Landmarks (N, 68, 2) of images (N, 3, H, H) in [-1, 1], some at a time."""
    with torch.no_grad():
        return torch.cat([detector(part) for part in image.split(64)])


def load_detector(file: Path) -> LandmarkDetector:
    """A detector that ``main`` stored."""
    detector = LandmarkDetector()
    detector.network = cards.read_network(file, UNet, SIZES, "network.")
    return detector.eval().requires_grad_(False)


def main(root: Path, output: Path, steps: int = 3000) -> None:
    """Train a detector, write it and its card, and print its error on the test photos.

    Args:
        root: Folder of the faces.
        output: The safetensors file.
        steps: Steps of 32 photos.
    """
    detector = train(*read_faces(root, "train"), steps)
    photos, points = read_faces(root, "test")
    error = (detect(detector, from_uint8(photos)) - points).norm(dim=2).mean()
    card: dict[str, Any] = {
        "what": f"Detector of {NUM_POINTS} face landmarks at {SIZE}x{SIZE}",
        "trained_on": "CelebA: non-commercial research",
        "steps": steps,
        "error_on_test_photos": round(float(error), 3),
    }
    cards.write_weights(detector.state_dict(), output, card, half=True)
    print(f"Mean distance on {len(photos)} test photos: {error:.2f} of {SIZE} pixels. {output}")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
