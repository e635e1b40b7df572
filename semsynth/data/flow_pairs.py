"""Pairs of images with exact ground-truth motion."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semsynth.data.base import Batch, Split
from semsynth.data.toy import PortraitWorld, ToyDataModule
from semsynth.data.toy.datamodule import ToyDataset
from semsynth.data.toy.world import Factors

_OTHER_POSE = 1 << 45  # from a sample's id to that of the pose it moves towards, beyond all splits
_PAIR = 2  # random stream; the world uses 0 and 1


class FlowPairs(ToyDataset):
    """Two poses of one toy person and the motion between them.

    A pair is rendered when first read and kept in memory, images as bytes and motion in half
    precision. It depends only on the seed and its id. ``noise`` and ``brightness`` are those of
    ``ToyFlow``.
    """

    world: PortraitWorld

    def __init__(self, noise: float, brightness: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        size, image_size = self.size, self.image_size
        self.noise, self.brightness = noise, brightness
        self._target = torch.empty(size, 3, image_size, image_size, dtype=torch.uint8)
        self._motion = torch.empty(size, 3, image_size, image_size, dtype=torch.float16)
        self._valid = torch.empty(size, 1, image_size, image_size, dtype=torch.bool)

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        """Pairs of a batch; new ones are rendered together."""
        items = super().__getitems__(indices)
        index = torch.stack([item["index"] for item in items])
        motion = self._motion[index].float()
        columns = {
            "target": self._target[index] / 127.5 - 1,
            "flow": motion[:, :2],
            "log_expansion": motion[:, 2:],
            "valid": self._valid[index],
        }
        return [
            item | {key: column[i] for key, column in columns.items()}
            for i, item in enumerate(items)
        ]

    def _render(self, index: Tensor) -> None:
        super()._render(index)
        if not len(index):
            return
        samples = self.first + index
        draw = [np.random.default_rng([self.seed, sample, _PAIR]) for sample in samples.tolist()]
        source, target = self._poses(samples, draw)
        appearance = self.world.sample_appearance(self.seed, samples)
        image = self.world.render(target, appearance, self.image_size).image
        flow, log_expansion, valid = self.world.flow(source, target, self.image_size)
        self._pixels[index, :3] = self._altered(self._pixels[index, :3].float(), draw)
        self._target[index] = self._altered(image.add(1).mul(127.5), draw)
        self._motion[index] = torch.cat([flow, log_expansion], 1).half()
        self._valid[index] = valid[:, None]

    def _poses(
        self, samples: Tensor, draw: Sequence[np.random.Generator]
    ) -> tuple[Factors, Factors]:
        """The pose of each sample, and one on the way to a pose of another; most ways are short."""
        source = self.world.sample_layout(self.seed, samples)
        other = self.world.sample_layout(self.seed, samples + _OTHER_POSE)
        way = torch.tensor([rng.random() for rng in draw], dtype=torch.float32).square()
        moved = {
            name: torch.lerp(source[name], other[name], way) for name in self.world.pose_factors
        }
        return source, source | moved

    def _altered(self, pixels: Tensor, draw: Sequence[np.random.Generator]) -> Tensor:
        """Images (B, 3, H, W) in 0..255 with other brightness and noise, as bytes."""
        C, H, W = pixels.shape[1:]
        gain = torch.from_numpy(np.stack([rng.uniform(-1, 1, (C, 1, 1)) for rng in draw])).float()
        noise = np.stack([rng.standard_normal((C, H, W), np.float32) for rng in draw])
        altered = pixels * (1 + self.brightness * gain)
        altered += 255 * self.noise * torch.from_numpy(noise)
        return altered.round_().clamp_(0, 255).byte()


class ToyFlow(ToyDataModule):
    """Pairs of poses of the persons of ``ToyPortrait``, with their motion.

    A batch holds ``image`` and ``mask`` of the first pose, ``target``, the image of the second
    (B, 3, H, W), ``flow`` (B, 2, H, W) in pixels from the first to the second, ``log_expansion``
    (B, 1, H, W) and ``valid`` (B, 1, H, W), bool. Half of the moving pixels move by less than two
    pixels of 64, one in a hundred by more than ten.

    Args:
        test_size: Number of test pairs.
        noise: Standard deviation of independent noise, as a share of the range of values.
        brightness: Largest relative change of each channel of each image.
    """

    world = PortraitWorld()

    def __init__(
        self, test_size: int = 512, noise: float = 0.01, brightness: float = 0.04, **kwargs: Any
    ) -> None:
        super().__init__(test_size=test_size, shots=None, shots_seed=None, labels="dense", **kwargs)
        if not noise >= 0 or not 0 <= brightness < 1:
            raise ValueError(
                f"noise must be at least 0 and brightness in [0, 1), got {noise} and {brightness}."
            )
        self.noise, self.brightness = noise, brightness

    def dataset(self, split: Split) -> FlowPairs:
        """The pairs of a split; their first images are the samples of ``ToyPortrait``."""
        return FlowPairs(self.noise, self.brightness, **self.samples(split))
