"""Statistics of real images, kept in the user's cache so that they are computed once."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from safetensors import SafetensorError
from torch import Tensor

from semsynth.errors import UserError
from semsynth.files import read_tensors, write_tensors
from semsynth.images import to_uint8
from semsynth.metrics import ImageMetric
from semsynth.metrics.census import fingerprint, hexadecimal
from semsynth.weights import home

State = dict[str, Tensor]


class RealStatistics:
    """Loads statistics of a split's real images into metrics, and saves those that are new.

    A file's name is a hash of the metric's protocol, the split and a few of its samples. All
    samples are compared at the end, when they have been read anyway: statistics of other images are
    discarded, and so is the score.
    """

    def __init__(self) -> None:
        self.directory = home() / "statistics"
        self.loaded: dict[str, tuple[State, dict[str, Any]]] = {}
        self.keys: list[str | None] = []

    def load(self, trainer: Trainer, stage: str, metrics: Sequence[ImageMetric]) -> None:
        """Give each metric the statistics of this split, or none, consistently on all processes."""
        split = describe_split(trainer, stage)
        self.keys = [key_of(metric, split) if split else None for metric in metrics]
        for metric, key in zip(metrics, self.keys, strict=True):
            if key is not None and key not in self.loaded:
                self._read(key)
            everywhere = trainer.strategy.reduce_boolean_decision(key in self.loaded, all=True)
            state = self.loaded[key][0] if key is not None and everywhere else None
            on_device = state and {name: x.to(metric.device) for name, x in state.items()}
            metric.load_real_state(on_device)

    def keep_those_of(
        self, trainer: Trainer, stage: str, metrics: Sequence[ImageMetric], census: dict[str, Any]
    ) -> list[ImageMetric]:
        """Save new statistics and check loaded ones; return the metrics that are valid."""
        census = {key: census[key] for key in ("num_images", "real_images", "masks")}
        kept = []
        for metric, key in zip(metrics, self.keys, strict=True):
            if key is not None and metric.loaded_real is not None and self.loaded[key][1] != census:
                self._forget(key, metric, stage)
                continue
            if key is not None and metric.loaded_real is None:
                self._save(trainer, key, metric, census)
            kept.append(metric)
        return kept

    def path(self, key: str) -> Path:
        """File of a key."""
        return self.directory / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"

    def _read(self, key: str) -> None:
        try:
            state, notes = read_tensors(self.path(key))
            if notes["key"] == key:
                self.loaded[key] = (state, json.loads(notes["census"]))
        except FileNotFoundError:
            return
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            rank_zero_warn(f"{self.path(key)} is damaged ({error}) and will be recomputed.")

    def _save(
        self, trainer: Trainer, key: str, metric: ImageMetric, census: dict[str, Any]
    ) -> None:
        with metric.sync_context():
            state = {k: v.detach().cpu().clone() for k, v in metric.real_state().items()}
        self.loaded[key] = (state, census)
        if not trainer.is_global_zero:
            return
        try:
            write_tensors(self.path(key), state, {"key": key, "census": json.dumps(census)})
        except (OSError, UserError) as error:
            rank_zero_warn(f"Statistics of the real images could not be saved: {error}")

    def _forget(self, key: str, metric: ImageMetric, stage: str) -> None:
        del self.loaded[key]
        self.path(key).unlink(missing_ok=True)
        metric.load_real_state(None)
        rank_zero_warn(
            f"The statistics that {type(metric).__name__} loaded from "
            f"{self.path(key)} do not match the real images of the {stage} split: the data have "
            "changed. They were deleted; this score is left out until the next evaluation."
        )


def key_of(metric: ImageMetric, split: dict[str, Any]) -> str | None:
    """Cache key of the statistics, as JSON; None for a metric that keeps none."""
    if not metric.real_states:
        return None
    return json.dumps({"metric": metric.protocol(), **split}, sort_keys=True)


def describe_split(trainer: Trainer, stage: str) -> dict[str, Any] | None:
    """Identity of a split: name, class, size and a few samples; None if it is limited."""
    loaders = trainer.test_dataloaders if stage == "test" else trainer.val_dataloaders
    limit = trainer.limit_test_batches if stage == "test" else trainer.limit_val_batches
    dataset = getattr(loaders, "dataset", None)
    whole = isinstance(limit, float) and limit == 1.0  # the integer 1 is one batch
    if dataset is None or not whole or trainer.sanity_checking or not len(dataset):
        return None
    count = len(dataset)
    index = sorted({0, count // 2, count - 1})
    samples = [dataset[i] for i in index]
    if any(not isinstance(sample, dict) or "image" not in sample for sample in samples):
        return None
    hashes = [fingerprint(to_uint8(sample["image"])[None].long()) for sample in samples]
    data = type(getattr(trainer, "datamodule", None)).__name__
    probes = [hexadecimal(number) for number in hashes]
    return {"split": stage, "data": data, "num_images": count, "probes": probes}
