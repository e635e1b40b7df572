"""``semsynth evaluate``: scores of folders of images."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from semsynth.cli.arguments import at_least
from semsynth.errors import UserError, require_writable

if TYPE_CHECKING:
    from collections.abc import Callable

    from semsynth.metrics import ImageMetric

DESCRIPTION = """\
Measure images that anyone made. Nothing is needed but the folders.

Distances compare the set of real images with the first sample of each mask; the sets may differ in
number and in sizes. Pairs belong together by stem. Several samples of a mask STEM are the files of
a folder STEM, or STEM_0.png, STEM_1.png and so on.
"""
METRICS = {
    "fid": "Frechet distance of Inception features as clean-fid takes them, or fd:EXTRACTOR",
    "kid": "kernel distance of these features, or kd:EXTRACTOR",
    "prdc": "precision, recall, density, coverage of these features, or prdc:EXTRACTOR",
    "diversity": "LPIPS between samples of one mask, or diversity:FEATURES (alex)",
    "top1": "LPIPS of the nearest sample to the real image, or top1:FEATURES (alex)",
    "reconstruction": "LPIPS and MSE to the real image, or reconstruction:FEATURES (alex)",
    "layout": "mean IoU and accuracy of --segmenter, against --masks",
}
NETWORKS = ("extractor", "network", "segmenter")  # keys under which a card names a network
EPILOG = (
    "metrics:\n"
    + "".join(f"  {name:<15} {text}\n" for name, text in METRICS.items())
    + """
EXTRACTOR is inception-clean, inception-fid, dinov2, timm:MODEL, toy_street or toy_portrait;
FEATURES is alex, vgg, toy_street or toy_portrait.

examples:
  semsynth evaluate --real data/val --fake results/ours
  semsynth evaluate --real data/val --fake results/ours --masks data/labels \\
    --metrics fid kid diversity:vgg layout --segmenter torchscript:drn.pt
"""
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``semsynth evaluate``."""
    parser = argparse.ArgumentParser(
        "semsynth evaluate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--real", type=Path, required=True, metavar="DIR", help="real images")
    add("--fake", type=Path, required=True, metavar="DIR", help="generated images")
    add("--masks", type=Path, metavar="DIR", help="label maps, one channel of class indices")
    add("--metrics", nargs="+", metavar="NAME", help="what to measure (default: all that can be)")
    add("--segmenter", metavar="NAME", help="judge of layouts: torchscript:FILE, hf:NAME, a path")
    add("--output", type=Path, metavar="FILE", help="scores (default: beside --fake, .scores.json)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: auto)")
    add(
        "--batch_size",
        type=at_least(1),
        default=32,
        metavar="N",
        help="masks at once (default: 32)",
    )
    add(
        "--on_missing_weights",
        choices=("error", "skip"),
        default="error",
        help="stop, or measure without a metric that lacks its weights",
    )
    return parser


def run(args: list[str]) -> None:
    """Run ``semsynth evaluate``.

    Args:
        args: Arguments after ``evaluate``.
    """
    evaluate_folders(build_parser().parse_args(args))


def evaluate_folders(options: argparse.Namespace) -> None:
    """Measure, print and write."""
    from semsynth.callbacks.evaluation import build_metrics
    from semsynth.cli.devices import choose_device
    from semsynth.files import write_text
    from semsynth.metrics.folders import evaluate, open_folders
    from semsynth.weights import MissingWeightsError

    console = Console(stderr=True)
    device = choose_device(None if options.device == "auto" else options.device)
    output = options.output or options.fake.with_name(f"{options.fake.resolve().name}.scores.json")
    require_writable(output.parent, "--output")
    folders = open_folders(options.real, options.fake, options.masks)
    names = options.metrics or default_metrics(
        several=any(len(files) > 1 for files in folders.fakes.values()),
        layout=bool(options.masks and options.segmenter),
    )
    metrics, errors = build_metrics([recipe(name, options.segmenter) for name in names])
    if errors and options.on_missing_weights == "error":
        advice = "Or measure without them: --on_missing_weights skip."
        raise MissingWeightsError("\n".join([*map(str, errors), advice]))
    for error in errors:
        console.print(f"Measuring without a metric. {error}", soft_wrap=True)
    if not metrics:
        raise UserError("No metric is left to measure.")
    scores, protocol = evaluate(folders, metrics, device, options.batch_size)
    print_scores(scores, protocol)
    folders_named = {"real": str(options.real), "fake": str(options.fake)}
    record = {**folders_named, "scores": scores, "protocol": protocol}
    write_text(output, json.dumps(record, indent=2) + "\n")
    console.print(f"Scores and protocol: {output}", soft_wrap=True)


def default_metrics(several: bool, layout: bool) -> list[str]:
    """What can be measured: a distance always, the rest if the folders have what it needs."""
    return ["fid", *["diversity"] * several, *["layout"] * layout]


def recipe(name: str, segmenter: str | None) -> "Callable[[], ImageMetric]":
    """How to build the metric of a name.

    Raises:
        UserError: There is no such metric, or it lacks an argument.
    """
    from semsynth import metrics

    kind, _, features = name.partition(":")
    if kind == "layout":
        if segmenter is None:
            raise UserError("layout needs a judge: name it with --segmenter.")
        return lambda: metrics.LayoutFidelity(segmenter)
    of_extractor: dict[str, Callable[[str], ImageMetric]] = {
        "fid": metrics.FrechetDistance,
        "fd": metrics.FrechetDistance,
        "kid": metrics.KernelDistance,
        "kd": metrics.KernelDistance,
        "prdc": metrics.PrecisionRecall,
    }
    of_features: dict[str, Callable[[str], ImageMetric]] = {
        "diversity": metrics.Diversity,
        "top1": metrics.Top1Similarity,
        "reconstruction": metrics.Reconstruction,
    }
    if kind in of_extractor and (features or kind not in ("fd", "kd")):
        return lambda: of_extractor[kind](features or "inception-clean")
    if kind in of_features:
        return lambda: of_features[kind](features or "alex")
    raise UserError(f"There is no metric {name!r}; there are {', '.join(METRICS)}, fd:EXTRACTOR.")


def print_scores(scores: dict[str, float], protocol: dict[str, Any]) -> None:
    """Print a table of scores and what they depend on."""
    table = Table()
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("of")
    for name, value in scores.items():
        card = protocol["metrics"][name]
        network = next((card[key] for key in NETWORKS if key in card), "")
        table.add_row(name, f"{value:.4f}", f"{card['metric']} {network}".strip())
    size = protocol["image_size"]
    size = size if isinstance(size, str) else "x".join(map(str, size))
    fakes, images = protocol["num_fakes"], protocol["num_images"]
    table.caption = f"{fakes} generated ({size}) and {images} real images"
    Console().print(table)
