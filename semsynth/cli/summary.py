"""What a person reads before and after a run."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from rich.console import Console
from rich.table import Table

from semsynth.callbacks.progress import duration
from semsynth.callbacks.run_directory import last_checkpoint

MOST_SCORES = 14


@rank_zero_only
def print_header(
    method: LightningModule, data: LightningDataModule, trainer: Trainer, run_dir: Path
) -> None:
    """Method, data, device and run directory in two lines."""
    size = getattr(data, "image_size", None)
    height, width = size if isinstance(size, tuple | list) else (size, size)
    about = [f"{height}x{width}"] if size else []
    if classes := getattr(data, "num_classes", None):
        about.append(f"{classes} classes")
    root = trainer.strategy.root_device
    device = torch.cuda.get_device_name(root) if root.type == "cuda" else root.type
    count = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
    parts = f"{type(method).__name__} on {type(data).__name__}", *about, f"{count}{device}"
    show(f"{', '.join(parts)}\nrun {near(run_dir)}")


@rank_zero_only
def print_results(command: str, trainer: Trainer, run_dir: Path, scored: float = 0) -> None:
    """Cost, scores, where the files are, and the next command.

    Args:
        command: The command that has ended.
        trainer: Its trainer.
        run_dir: Directory of the run.
        scored: Scores written before this time (seconds since the epoch) are older ones.
    """
    cost = run_dir / "scores" / "cost.json"
    if command == "fit" and cost.is_file():
        values = json.loads(cost.read_text())
        show(
            f"trained {trainer.global_step} steps in {duration(values['train_seconds'])}, "
            f"{values['images_per_second']:.3g} images/s, {values['peak_memory_gib']:.2g} GiB"
        )
    file = print_new_scores(command, run_dir, scored)
    places: dict[str, Any] = {"scores": file} if file else {}
    kept = getattr(trainer.checkpoint_callback, "dirpath", None) if command == "fit" else None
    checkpoint = last_checkpoint(run_dir, Path(kept).absolute()) if kept else None
    if checkpoint:
        places["checkpoint"] = checkpoint
    if (run_dir / "images").is_dir():
        places["pictures"] = run_dir / "images"
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and not logger._offline:
            places["W&B"] = logger.experiment.url
    places = {name: near(place) for name, place in places.items()}
    if checkpoint:
        masks = " --masks DIR" if getattr(trainer.lightning_module, "uses_masks", False) else ""
        places["next"] = f"semsynth predict --ckpt_path {near(checkpoint)}{masks} --output DIR"
    for name, place in places.items():
        show(f"{name:<11}{place}")


def print_new_scores(command: str, run_dir: Path, scored: float) -> Path | None:
    """The file of the scores that a command has written, printed with what they lack.

    A training without a test has those of the last validation.
    """
    for split in {"validate": ["val"], "fit": ["test", "val"]}.get(command, ["test"]):
        file = run_dir / "scores" / f"{split}.json"
        if file.is_file() and file.stat().st_mtime >= scored:
            record = json.loads(file.read_text())
            print_scores(record["scores"], split)
            for caveat in record["protocol"]["caveats"]:
                show(f"Warning: {caveat}")
            return file
    return None


def print_scores(scores: dict[str, float], split: str) -> None:
    """A table of scores, those of real photos beside those of generated images."""
    real = {name.removesuffix("_real"): v for name, v in scores.items() if name.endswith("_real")}
    names = [n for n in scores if not n.endswith("_real") and not n.startswith("IoU_")]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (split, *(["generated", "real photos"] if real else ["score"])):
        table.add_column(name, justify="left" if name == split else "right")
    for name in names[:MOST_SCORES]:
        cells = [f"{scores[name]:.4g}", f"{real[name]:.4g}" if name in real else ""]
        table.add_row(name, *cells[: 1 + bool(real)])
    Console(highlight=False).print(table)
    if more := len(scores) - len(names[:MOST_SCORES]) - len(real):
        show(f"and {more} more")


def near(place: Any) -> Any:
    """A path as seen from the working directory, if it is in it."""
    here = Path.cwd()
    inside = isinstance(place, Path) and place.is_relative_to(here)
    return place.relative_to(here) if inside else place


@rank_zero_only
def show(text: str) -> None:
    """Print a line, which a terminal may wrap but a path in it stays whole."""
    Console(highlight=False, markup=False).print(text, soft_wrap=True)
