"""``semsynth evaluate``: scores of folders of images."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semsynth.cli.messages import require_at_least
from semsynth.errors import UserError, require_writable
from semsynth.files import write_text

if TYPE_CHECKING:
    from semsynth.metrics import ImageMetric

OF_EXTRACTOR = {"fid": "FrechetDistance", "kid": "KernelDistance", "prdc": "PrecisionRecall"}
OF_EXTRACTOR |= {"fd": OF_EXTRACTOR["fid"], "kd": OF_EXTRACTOR["kid"]}
OF_FEATURES = {"diversity": "Diversity", "top1": "Top1Similarity"}
OF_FEATURES |= {"lpips": "Reconstruction", "reconstruction": "Reconstruction"}
NAMES = "fid, kid, prdc, lpips, diversity, top1, layout, fd:EXTRACTOR"
NETWORKS = ("extractor", "network", "segmenter")  # keys under which a card names a network


def evaluate(
    *,
    real: Path,
    fake: Path,
    masks: Path | None = None,
    metrics: Sequence[str] = (),
    segmenter: str | None = None,
    segmenter_map: str | None = None,
    mask_map: str | None = None,
    output: Path | None = None,
    device: str = "auto",
    batch_size: int = 32,
    on_missing_weights: Literal["error", "skip"] = "error",
) -> None:
    r"""Score generated images from folders.

    Distances compare the set of real images with the first sample of each mask; the sets may differ
    in number and in sizes. Pairs belong together by stem. Several samples of a mask STEM are the
    files of a folder STEM, or STEM_0.png, STEM_1.png and so on.

    metrics:
      fid             Frechet distance of Inception features as in clean-fid,
                      or fd:EXTRACTOR
      kid             kernel distance of these features, or kd:EXTRACTOR
      prdc            precision, recall, density, coverage of these features, or
                      prdc:EXTRACTOR
      diversity       LPIPS between samples of one mask, or diversity:FEATURES
      top1            LPIPS of the nearest sample to the real image, or
                      top1:FEATURES
      lpips           LPIPS and MSE to the real image, or lpips:FEATURES; also
                      called reconstruction
      layout          mean IoU and accuracy of --segmenter, against --masks

    EXTRACTOR is inception-clean, inception-fid, dinov2, timm:MODEL, toy_street or toy_portrait;
    FEATURES is alex (the default), vgg, toy_street or toy_portrait.

      semsynth evaluate --real data/val --fake results/ours
      semsynth evaluate --real data/val --fake results/ours --masks data/labels \
          --metrics fid kid diversity:vgg layout --segmenter torchscript:drn.pt

    The 34 labelIds of Cityscapes are scored in its 19 classes with --mask_map
    cityscapes_ids_to_train_ids.

    Args:
        real: Real images.
        fake: Generated images.
        masks: Label maps, one channel of class indices.
        metrics: Metrics to compute; all available by default.
        segmenter: Segmenter for layout fidelity: torchscript:FILE, hf:NAME, a path.
        segmenter_map: Known map of the segmenter's classes, such as face_parsing_to_celebamask_hq.
        mask_map: Known map of the classes of the label maps.
        output: File of the scores; beside the generated images by default, .scores.json.
        device: auto, cpu, cuda, cuda:1.
        batch_size: Masks at once.
        on_missing_weights: Stop, or skip metrics without their weights.
    """
    require_at_least(1, batch_size=batch_size)
    from rich.console import Console

    from semsynth.callbacks.evaluation import build_metrics
    from semsynth.cli.preflight import choose_device
    from semsynth.metrics import folders
    from semsynth.weights import MissingWeightsError

    console = Console(stderr=True)
    place = choose_device(None if device == "auto" else device)
    output = output or fake.with_name(f"{Path(os.path.realpath(fake)).name}.scores.json")
    require_writable(output.parent, "--output")
    opened = folders.open_folders(real, fake, masks)
    several = any(len(files) > 1 for files in opened.fakes.values())
    layout = bool(masks and segmenter)
    names = metrics or ["fid", *["diversity"] * several, *["layout"] * layout]
    layout_of = segmenter, segmenter_map, mask_map
    built, errors = build_metrics([recipe(name, *layout_of) for name in names])
    if errors and on_missing_weights == "error":
        advice = "Or measure without them: --on_missing_weights skip."
        raise MissingWeightsError("\n".join([*map(str, errors), advice]))
    for error in errors:
        console.print(f"Measuring without a metric. {error}", soft_wrap=True)
    if not built:
        raise UserError("No metric is left to measure.")
    scores, protocol = folders.evaluate(opened, built, place, batch_size)
    print_scores(scores, protocol)
    for caveat in protocol["caveats"]:
        console.print(f"Warning: {caveat}", soft_wrap=True)
    record = {"real": str(real), "fake": str(fake), "scores": scores, "protocol": protocol}
    write_text(output, json.dumps(record, indent=2) + "\n")
    console.print(f"Scores and protocol: {output}", soft_wrap=True)


def recipe(
    name: str, segmenter: str | None, segmenter_map: str | None, mask_map: str | None
) -> "Callable[[], ImageMetric]":
    """How to build the metric of a name."""
    from semsynth import metrics
    from semsynth.metrics.label_maps import label_map

    kind, _, features = name.partition(":")
    if kind == "layout":
        if segmenter is None:
            raise UserError("layout needs a segmenter; give --segmenter.")
        of_segmenter, of_masks = (
            m if m is None else label_map(m) for m in (segmenter_map, mask_map)
        )
        return lambda: metrics.LayoutFidelity(
            segmenter, segmenter_map=of_segmenter, mask_map=of_masks
        )
    if kind in OF_EXTRACTOR and (features or kind not in ("fd", "kd")):
        metric, features = getattr(metrics, OF_EXTRACTOR[kind]), features or "inception-clean"
    elif kind in OF_FEATURES:
        metric, features = getattr(metrics, OF_FEATURES[kind]), features or "alex"
    else:
        raise UserError(f"Unknown metric {name!r}; choose from {NAMES}.")
    return lambda: metric(features)


def print_scores(scores: dict[str, float], protocol: dict[str, Any]) -> None:
    """Print a table of scores and what they depend on."""
    from semsynth.cli import summary

    summary.print_scores(scores, "metric")
    cards = [protocol["metrics"][name] for name in scores]
    networks = dict.fromkeys(str(card[key]) for card in cards for key in NETWORKS if key in card)
    size = protocol["image_size"]
    size = size if isinstance(size, str) else "x".join(map(str, size))
    fakes, images = protocol["num_fakes"], protocol["num_images"]
    summary.show(f"{fakes} generated ({size}) and {images} real images, by {', '.join(networks)}")
