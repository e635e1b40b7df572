"""Accuracy of edits by dragging."""

from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.images import to_uint8
from semsynth.metrics.base import ImageMetric, MeanOverMasks
from semsynth.metrics.parts import PartMotion
from semsynth.metrics.perceptual import build_taps
from semsynth.networks.motion.feature_tracking import Follower
from semsynth.networks.motion.geometry import MotionEstimator
from semsynth.networks.motion.marks import Marks, check_marks
from semsynth.weights.estimators import load_motion_estimator


class EditingScores(ImageMetric):
    """Accuracy of drags (Endo, CGF 2022, proposes the task).

    A point with a motion of 0 is an anchor. ``drag_error`` is the mean distance in pixels from the
    requested to the achieved position of points with a motion in the plane, ``drag_gain`` the
    achieved fraction of the request along its direction, ``drag_angle`` the angle between the two
    in degrees, and ``points_lost`` the share of these points that could not be tracked; the first
    three exclude them. ``anchor_drift`` is the mean motion of anchors in pixels. ``zoom_error`` is
    the mean difference of achieved and requested log expansion, ``zoom_gain`` their ratio. Scores
    without any point are omitted. Names end with that of the tracker.
    """

    NAMES: ClassVar = (
        *("drag_error", "drag_gain", "drag_angle", "points_lost"),
        *("anchor_drift", "zoom_error", "zoom_gain"),
    )

    counts: Tensor
    totals: Tensor

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        n = len(self.NAMES)
        self.add_state("counts", torch.zeros(n, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("totals", torch.zeros(n, dtype=torch.float64), dist_reduce_fx="sum")

    def compute(self) -> dict[str, Tensor]:
        """Mean of each score over its points, if any."""
        means = self.totals / self.counts
        seen = (self.counts > 0).tolist()
        return {f"{name}_{self.label}": means[i] for i, name in enumerate(self.NAMES) if seen[i]}

    def protocol(self) -> dict[str, Any]:
        """Judge."""
        return {**super().protocol(), "judge": self.label}

    def _judge(self, marks: Marks, achieved: Tensor, found: Tensor, zoom_found: Tensor) -> None:
        """Add marks by their motion (B, K, 3), where flow and expansion are valid (B, K), bool."""
        _, motions, points_mask = marks
        achieved, zoom = achieved[..., :2].double(), achieved[..., 2].double()
        request, zoom_request = motions[..., :2].double(), motions[..., 2].double()
        drags = points_mask & request.any(dim=-1)
        zooms = points_mask & (zoom_request != 0)
        anchors = points_mask & ~drags & ~zooms
        distance = (achieved - request).norm(dim=-1)
        projection = (achieved * request).sum(-1) / request.square().sum(-1)
        self._add("drag_error", distance, drags & found)
        self._add("drag_gain", projection, drags & found)
        self._add("drag_angle", angle_between(achieved, request), drags & found)
        self._add("points_lost", (~found).double(), drags)
        self._add("anchor_drift", achieved.norm(dim=-1), anchors & found)
        self._add("zoom_error", (zoom - zoom_request).abs(), zooms & zoom_found)
        self._add("zoom_gain", zoom / zoom_request, zooms & zoom_found)

    def _add(self, name: str, values: Tensor, which: Tensor) -> None:
        i = self.NAMES.index(name)
        self.counts[i] += which.sum()
        self.totals[i] += torch.where(which, values, 0).sum()


class EditingAccuracy(EditingScores):
    """Scores of edits by the motion between images (see ``EditingScores``).

    Args:
        estimator: Measures that motion; choose one that the method was not trained with. A name
            for ``load_motion_estimator``, ``parts:NAME`` for parts of a segmenter (see
            ``PartMotion``), or an object.
        zoom_window: Height and width of the window around a point in which expansion is averaged.
    """

    def __init__(self, estimator: str | MotionEstimator, zoom_window: int = 33) -> None:
        if zoom_window < 1 or zoom_window % 2 == 0:
            raise ValueError(f"zoom_window must be odd, to have a centre; got {zoom_window}.")
        super().__init__(label_of(estimator))
        self.estimator = build_estimator(estimator) if isinstance(estimator, str) else estimator
        self.zoom_window = zoom_window

    def update(self, image: Tensor, edited: Tensor, marks: Marks) -> None:
        """Add images (B, 3, H, W) in [-1, 1] before and after edits; marks are in their pixels."""
        check_marks(*marks, image.shape[-1])
        points = marks.points
        flow, log_expansion, valid = self.estimator(image, edited)
        found = sample_at(valid.float(), points)[..., 0] > 0.5
        zoom, zoom_found = self._zoom(log_expansion, valid, points)
        achieved = torch.cat([sample_at(flow, points), zoom[..., None]], dim=-1)
        self._judge(marks, achieved, found, zoom_found)

    def protocol(self) -> dict[str, Any]:
        """Estimator and window."""
        name = getattr(self.estimator, "__name__", type(self.estimator).__name__)
        own = {"estimator": name, "zoom_window": self.zoom_window}
        return {**super().protocol(), **getattr(self.estimator, "protocol", dict)(), **own}

    def _zoom(self, log_expansion: Tensor, valid: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Mean log expansion (B, K) of valid pixels in windows, and whether any are valid."""
        window, pad = self.zoom_window, self.zoom_window // 2
        weight = valid.double()
        inputs = torch.cat([torch.where(valid, log_expansion.double(), 0), weight], dim=1)
        total, share = F.avg_pool2d(inputs, window, 1, pad).split(1, dim=1)
        total, share = (sample_at(x, points)[..., 0] for x in (total, share))
        found = share > 0.5 / window**2
        return total / share.clamp(min=1e-12), found


class TrackingAccuracy(EditingScores):
    """Scores of edits by the features of the images' generator.

    Points are tracked by their features, and lost if tracking back ends elsewhere. For a method
    with feedback from the same features this measure is biased: see ``EditingAccuracy`` too.
    """

    ROUND_TRIP: ClassVar = 2 / 64
    """Maximum forward-backward error of a point, as a fraction of the image."""

    def __init__(self) -> None:
        super().__init__("features")

    def update(
        self, image: Tensor, landmarks: Tensor, edited_landmarks: Tensor, marks: Marks
    ) -> None:
        """Add features (B, C, h, w) before and after an edit; marks are in pixels of the images."""
        check_marks(*marks, image.shape[-1])
        points, motions, _ = marks
        size = image.shape[-1]
        zooms = bool(motions[..., 2].any())
        still = torch.zeros_like(motions)
        there = Follower(landmarks, points, size, zooms)
        achieved, _ = there.find(edited_landmarks, still, motions)
        arrived = points + achieved[..., :2]
        back, _ = Follower(edited_landmarks, arrived, size, False).find(landmarks, still, -motions)
        miss = (achieved[..., :2] + back[..., :2]).norm(dim=-1)
        found = miss <= self.ROUND_TRIP * size
        self._judge(marks, achieved, found, found)


class Reconstruction(MeanOverMasks):
    """Distance from reconstructions to their images: mean squared error and perceptual distance.

    Images in [-1, 1] are rounded to uint8 first, as on disk. Logged as ``reconstruction_mse`` and,
    with its standard error, ``reconstruction_lpips_alex``.

    Args:
        features: Network that measures differences (see ``Diversity``).
    """

    higher_is_better = False

    squared_error: Tensor

    def __init__(self, features: str) -> None:
        super().__init__()
        self.network = build_taps(features)
        self.add_state("squared_error", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, reconstruction: Tensor, image: Tensor) -> None:
        """Add reconstructions and their images, both (B, 3, H, W) in [-1, 1]."""
        if reconstruction.shape != image.shape:
            raise ValueError(
                "A reconstruction must have the shape of its image, got "
                f"{tuple(reconstruction.shape)} and {tuple(image.shape)}."
            )
        a, b = (to_uint8(x).double() / 127.5 for x in (reconstruction, image))
        self.squared_error += (a - b).square().mean(dim=(1, 2, 3)).sum()
        self.add(self.network.distance(reconstruction, image))

    def compute(self) -> dict[str, Tensor]:
        """Both means over images."""
        error = {"reconstruction_mse": self.squared_error / self.num_masks}
        return {**error, **self.scores(f"reconstruction_{self.network.label}")}

    def protocol(self) -> dict[str, Any]:
        """Network."""
        return {**super().protocol(), **self.network.protocol()}


def build_estimator(name: str) -> MotionEstimator:
    """The estimator of a name (see ``EditingAccuracy``)."""
    kind, _, segmenter = name.partition(":")
    return PartMotion(segmenter) if kind == "parts" else load_motion_estimator(name)


def label_of(estimator: str | MotionEstimator) -> str:
    """Suffix of the scores by an estimator."""
    if isinstance(estimator, str):
        return Path(estimator.partition(":")[0]).stem
    return getattr(estimator, "__name__", type(estimator).__name__).lower()


def sample_at(field: Tensor, points: Tensor) -> Tensor:
    """Values of a field by bilinear interpolation, in float64.

    Args:
        field: Field (B, C, H, W).
        points: Positions (B, K, 2) in pixels, (x, y); (0, 0) is the centre of the first pixel.

    Returns:
        Values (B, K, C).
    """
    size = torch.tensor([field.shape[3], field.shape[2]], device=field.device)
    grid = (2 * points.double() + 1) / size - 1  # pixel centres, in [-1, 1]
    values = F.grid_sample(
        field.double(), grid[:, :, None], padding_mode="border", align_corners=False
    )
    return values[..., 0].mT


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle in degrees between vectors (..., 2); 90 if one of them is 0."""
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    dot = (a * b).sum(dim=-1)
    angle = torch.atan2(cross.abs(), dot).rad2deg()
    return torch.where((cross == 0) & (dot == 0), 90.0, angle)
