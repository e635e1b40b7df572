"""Do exported images help a segmenter? One run of ``benchmarks/suites/downstream.yaml``.

``python -m benchmarks.studies.downstream --config "FILE --train_on ARM --shots K"`` makes what the
arm needs, once for all runs of a benchmark, then trains and tests the segmenter.

Streets come from a CLVAE of the K labelled samples alone, portraits from the shipped prior with
pseudo-labels from the K photos. Judges of the filters have learnt from the K samples too.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

import filelock
import torch

from benchmarks.sweep import pairs
from semsynth.cli import main as semsynth
from semsynth.data import ToyPortrait
from semsynth.errors import UserError
from semsynth.export.finish import write_classes
from semsynth.export.sources import labelled_samples
from semsynth.images import save_mask, save_png

ARMS = ("pairs", "pairs+recolour", "pairs+exported", "pairs+filtered", "exported", "full")
NUM_EXPORTED = 512
SHARE = 0.25  # of the labelled samples beside exported ones
JUDGES = 2
ALL = 8192  # training samples of a toy world
SHOTS = "--data.labelled.init_args.shots"
QUIET = ["--trainer.logger=false", "--images.num_masks=1", "--trainer.enable_progress_bar=false"]


def main(args: Sequence[str] | None = None) -> None:
    """Prepare and run one point of the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="FILE --train_on ARM --shots K")
    parser.add_argument("--seed_everything", type=int, default=1)
    parser.add_argument("--run_dir", type=Path, default=Path("outputs/downstream/runs/run"))
    options, rest = parser.parse_known_args(args)
    file, *words = shlex.split(options.config)
    chosen, seed = dict(pairs(words)), options.seed_everything
    world, arm = Path(file).stem.removesuffix("_few"), chosen["--train_on"]
    place = options.run_dir.resolve().parents[1]
    flags = flags_of(arm, world, int(chosen.get("--shots", ALL)), seed, place)
    fit(Path(file), seed, options.run_dir, *flags, *rest)


def flags_of(arm: str, world: str, shots: int, seed: int, place: Path) -> list[str]:
    """Flags of the segmenter's training; what they name is made if it is not there."""
    if arm not in ARMS:
        raise UserError(f"--train_on must be one of {', '.join(ARMS)}, got {arm}.")
    flags = [f"{SHOTS}={shots}"]
    if arm == "pairs+recolour":
        flags.append("--model.recolour=1.0")
    elif arm not in ("pairs", "full"):
        root = exported(world, shots, seed, place, filtered=arm == "pairs+filtered")
        flags += [f"--data.exported={root}", f"--data.share={0 if arm == 'exported' else SHARE}"]
    return flags


def exported(world: str, shots: int, seed: int, place: Path, filtered: bool) -> Path:
    """An exported data set; an export that was stopped resumes."""
    name = f"{world}-{shots}-{seed}"
    output = place / "exported" / (f"{name}-filtered" if filtered else name)
    words = ["export", f"--num={NUM_EXPORTED}", f"--seed={seed}", "--split", "1", "0", "0"]
    words += ["--output", str(output), *SOURCES[world](shots, place)]
    if filtered:
        judges = [judge(world, shots, number, place) for number in range(JUDGES)]
        words += ["--judges", *map(str, judges), "--filters", *FILTERS[world]]
    with locked(output):
        if not (output / "manifest.jsonl").is_file():
            semsynth(words)
    return output


def street_source(shots: int, place: Path) -> list[str]:
    """A CLVAE of the labelled streets, trained if it is not there."""
    run_dir = place / "sources" / f"clvae-{shots}"
    config = Path("experiments/clvae/toy_street_few.yaml")
    style = "drawn" if shots == 1 else "photos"  # few looks to recombine in one photo
    checkpoint = trained(config, 1, run_dir, f"{SHOTS}={shots}")
    return ["--ckpt_path", str(checkpoint), "--style", style]


def portrait_source(shots: int, place: Path) -> list[str]:
    """The shipped prior, with the labelled portraits in a folder."""
    folder = place / "sources" / f"portraits-{shots}"
    with locked(folder):
        write_pairs(folder, shots)
    rule = "dense" if shots == 1 else "linear"  # the better one on the prior's own samples
    labelling = ["--labelling", rule, "--layers", "16", "32"]
    recipe = ["--perceptual", "toy_street", "--inversion_steps", "400"]  # not the judge of faces
    return ["--prior", "toy_portrait", "--labelled", str(folder), *labelling, *recipe]


SOURCES = {"toy_street": street_source, "toy_portrait": portrait_source}
FILTERS = {
    "toy_street": ["agreement", "copies", "--keep", "0.8"],
    "toy_portrait": ["margin", "copies", "--keep", "0.5"],
}


def write_pairs(folder: Path, shots: int) -> None:
    """The labelled portraits as a user would have them."""
    data = ToyPortrait(shots=shots)
    images, masks, names = labelled_samples(data)
    for image, mask, name in zip(images, masks, names, strict=True):
        save_png(image, folder / "train" / "images" / f"{name}.png")
        save_mask(mask, folder / "train" / "labels" / f"{name}.png")
    write_classes(folder, data.label_space)


def judge(world: str, shots: int, number: int, place: Path) -> Path:
    """A segmenter that has learnt from the labelled samples alone."""
    run_dir = place / "sources" / f"judge-{world}-{shots}-{number}"
    config = Path(f"experiments/segmenter/{world}_few.yaml")
    return trained(config, 100 + number, run_dir, f"{SHOTS}={shots}")


def trained(config: Path, seed: int, run_dir: Path, *flags: str) -> Path:
    """The checkpoint of a training, which is done if it is not there."""
    with locked(run_dir):
        if not (run_dir / "done").is_file():
            fit(config, seed, run_dir, "--ckpt_path=last", "--test_after_fit=false", *flags)
            (run_dir / "done").touch()
    return run_dir / "checkpoints" / "last.ckpt"


def fit(config: Path, seed: int, run_dir: Path, *flags: str) -> None:
    """Train by the command line, in this process."""
    own = [f"--seed_everything={seed}", f"--run_dir={run_dir}"]
    semsynth(["fit", "--config", str(config), *own, *QUIET, *flags])


def locked(path: Path) -> filelock.BaseFileLock:
    """What keeps two runs from making one thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path.with_name(f".{path.name}.lock"))


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    main()
