"""Generate on the validation and test splits, and measure."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor

from semsynth.callbacks.generation import Batch, generate, supply
from semsynth.callbacks.real_statistics import RealStatistics
from semsynth.data.labels import LabelSpace
from semsynth.files import write_text
from semsynth.images import from_uint8, to_uint8
from semsynth.metrics import ImageMetric
from semsynth.metrics.base import card_of
from semsynth.metrics.census import Census
from semsynth.metrics.protocol import Card, installed_versions, unused
from semsynth.weights import MissingWeightsError


class Evaluation(Callback):
    """Measures generated images on the validation and test splits.

    Each sample gets ``num_samples`` images. A metric's ``update`` names its inputs: ``fake``
    (B, 3, H, W), the first of them, ``fakes`` (B, num_samples, 3, H, W), any key of the batch, or
    what the method supplies, which replaces the batch's own, such as the ``image`` before an edit.
    Images, real ones too, are rounded to 8 bits first, as if written to files.

    The scores are logged as ``val/NAME`` and ``test/NAME`` and written to ``scores/`` in the run
    directory with their protocol and the time to generate an image. Each process measures its own
    samples; metrics are summed.

    Args:
        metrics: Metrics, each by class and arguments.
        num_samples: Images for each mask, for the metrics that compare them with each other.
        seed: Seed of the noise.
        on_missing_weights: Refuse to start when a metric lacks its pretrained weights, or skip it.
        cache_real: Keep statistics of the real images in the user's cache, so that their features
            are computed once.
    """

    def __init__(
        self,
        metrics: Sequence[Callable[[], ImageMetric]] | None = None,
        num_samples: int = 4,
        seed: int = 0,
        on_missing_weights: Literal["error", "skip"] = "error",
        cache_real: bool = True,
    ) -> None:
        if num_samples < 1:
            raise ValueError(f"evaluation.num_samples must be at least 1, got {num_samples}.")
        # Metrics are built later, so that one without its weights can be skipped.
        self.recipes = list(metrics or [])
        self.num_samples = num_samples
        self.seed = seed
        self.on_missing_weights = on_missing_weights
        self.metrics: list[ImageMetric] = []
        self.census = Census()
        self.seconds, self.num_generated = 0.0, 0
        self.real_statistics = RealStatistics() if cache_real else None
        self.scores: dict[str, float] = {}
        self.protocol: Card = {}

    def build(self) -> None:
        """Build the metrics, outside of any module tree, or name all missing weights."""
        if not self.recipes:
            return
        self.metrics, errors = build_metrics(self.recipes)
        self.recipes = []
        if errors and self.on_missing_weights == "error":
            skip = "Or measure without them: --evaluation.on_missing_weights skip."
            names = [name for error in errors for name in error.names]
            raise MissingWeightsError("\n".join([*map(str, errors), skip]), names)
        for error in errors:
            rank_zero_warn(f"Measuring without a metric. {error}")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Build the metrics if necessary, and move them to the device of this process."""
        if stage == "predict":
            return
        self.build()
        if (space := space_of(trainer)) is not None:
            for metric in self.metrics:
                metric.use_classes(space)
        protocols = [metric.protocol() for metric in self.metrics]
        agrees = trainer.strategy.broadcast(protocols) == protocols
        if not trainer.strategy.reduce_boolean_decision(agrees, all=True):
            raise MissingWeightsError(
                "The processes of this run found different weights, so their scores would "
                "differ. Put the weights on a file system that all machines share."
            )
        for measured in (*self.metrics, self.census):
            measured.to(trainer.strategy.root_device)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Load statistics of the real images."""
        if self.real_statistics is not None and self.metrics:
            self.real_statistics.load(trainer, stage_of(trainer), self.metrics)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Generate for a batch and update the metrics."""
        if not self.metrics:
            return
        names = set().union(*(metric.wants for metric in self.metrics))
        supplied = supply(trainer, pl_module, batch, self.seed, self.num_samples, names)
        inputs = {**batch, **supplied}
        if "fake" not in supplied:
            inputs |= self._generated(trainer, pl_module, batch)
        inputs |= {k: as_on_disk(inputs[k]) for k in inputs.keys() & {"image", *supplied}}
        if "full_mask" in batch:  # the method saw scribbles; images are measured against all of it
            inputs["mask"] = batch["full_mask"]
        self.census.update(inputs["fake"], inputs.get("image"), inputs.get("mask"))
        scored = scored_classes(space_of(trainer), inputs)
        for metric in self.metrics:
            if missing := metric.wants - inputs.keys():
                raise ValueError(
                    f"{type(metric).__name__} needs {', '.join(sorted(missing))}, which "
                    f"{type(pl_module).__name__} and its data do not provide; the data provides "
                    f"{', '.join(sorted(batch))}. Remove the metric from evaluation.metrics, or "
                    "choose other data."
                )
            seen = scored if metric.scored_classes else inputs
            metric.update(**{name: seen[name] for name in metric.wants})

    def _generated(self, trainer: Trainer, method: LightningModule, batch: Batch) -> Batch:
        """Images of each sample, ``num_samples`` if a metric needs them."""
        draws = self.num_samples if any("fakes" in metric.wants for metric in self.metrics) else 1
        started = time.perf_counter()
        images = [generate(trainer, method, batch, self.seed, draw) for draw in range(draws)]
        if method.device.type == "cuda":
            torch.cuda.synchronize(method.device)
        self.seconds += time.perf_counter() - started
        self.num_generated += draws * len(images[0])
        fakes = torch.stack([as_on_disk(image) for image in images], dim=1)
        return {"fake": fakes[:, 0], "fakes": fakes}

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log and write the scores of the split."""
        if not self.metrics:
            return
        stage, metrics, census = stage_of(trainer), self.metrics, self.census.compute()
        if self.real_statistics is not None and not trainer.sanity_checking:
            metrics = self.real_statistics.keep_those_of(trainer, stage, metrics, census)
        self.scores = {}
        cards: Card = {}
        for metric in metrics:
            values = metric.compute()
            pl_module.log_dict({f"{stage}/{name}": value.float() for name, value in values.items()})
            self.scores |= {name: float(value) for name, value in values.items()}
            cards |= dict.fromkeys(values, card_of(metric, self.num_samples))
        caveats = [caveat for metric in metrics for caveat in metric.caveats]
        caveats += unused(split_of(trainer), census["num_fakes"])
        for measured in (*self.metrics, self.census):
            measured.reset()
        module = getattr(trainer, "datamodule", None)
        data = getattr(module, "measured_on", type(module).__name__)
        self.protocol = {"split": stage, "data": data, **census, "seed": self.seed}
        self.protocol |= {"metrics": cards, "caveats": caveats, "versions": installed_versions()}
        if trainer.is_global_zero and not trainer.sanity_checking:
            record = {
                "step": trainer.global_step or None,  # a standalone test takes no steps
                "num_samples": self.num_samples,
                "seed": self.seed,
                "scores": self.scores,
                "seconds_per_image": self.seconds / max(self.num_generated, 1) or None,
                "protocol": self.protocol,
            }
            path = Path(trainer.default_root_dir) / "scores" / f"{stage}.json"
            write_text(path, json.dumps(record, indent=2) + "\n")
        self.seconds, self.num_generated = 0.0, 0

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end  # type: ignore[assignment]  # Lightning's types differ
    on_test_epoch_end = on_validation_epoch_end


def stage_of(trainer: Trainer) -> Literal["val", "test"]:
    """The split being measured."""
    return "test" if trainer.testing else "val"


def split_of(trainer: Trainer) -> Any:
    """The samples of the split being measured, used or not."""
    loaders = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
    return getattr(loaders, "dataset", ())


def space_of(trainer: Trainer) -> LabelSpace | None:
    """The label space of the data being measured, if they say."""
    return getattr(getattr(trainer, "datamodule", None), "label_space", None)


def scored_classes(space: LabelSpace | None, inputs: Batch) -> Batch:
    """The inputs with ``mask`` in the evaluation classes, in which a ``full_mask`` already is."""
    if space is None or "mask" not in inputs or "full_mask" in inputs:
        return inputs
    return inputs | {"mask": space.to_evaluation(inputs["mask"])}


def build_metrics(
    recipes: Sequence[Callable[[], ImageMetric]],
) -> tuple[list[ImageMetric], list[MissingWeightsError]]:
    """Build metrics that are not built; return an error for each without its weights."""
    metrics, errors = [], []
    for recipe in recipes:
        try:
            metrics.append(recipe if isinstance(recipe, ImageMetric) else recipe())
        except MissingWeightsError as error:
            errors.append(error)
    return metrics, errors


def as_on_disk(image: Any) -> Any:
    """Images (..., 3, H, W) in [-1, 1] rounded as in a PNG file; anything else unchanged."""
    is_float = isinstance(image, Tensor) and image.is_floating_point()
    is_image = is_float and image.ndim >= 4 and image.shape[-3] == 3
    return from_uint8(to_uint8(image)) if is_image else image
