"""Retrain the weights that ship: ``python -m benchmarks.studies.toy_weights [NAME ...]``.

Each is trained by its experiment through the command line, and written to ``semsynth/assets`` as
half-precision safetensors with a card that says how it was made and what it scores.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import instantiate_class

from benchmarks.figures.toy_prior import measure as measure_prior
from benchmarks.results import current_commit
from semsynth import methods
from semsynth.data import GeneratedPairs, LabelSpace, ToyPortrait, ToyStreet
from semsynth.data.decode import read_image
from semsynth.data.sparse import scribbles
from semsynth.images import from_uint8, save_mask
from semsynth.methods.trained import save_trained
from semsynth.weights import ASSETS, load_segmenter
from semsynth.weights.cards import write_weights
from semsynth.weights.editors import save_editor
from semsynth.weights.priors import fingerprint, save_generator

PLACE = Path("outputs/toy_weights")
PAIRS = 16384
SHOTS = 5
CARD_NAMES = {"MeanIoU": "mean_iou", "EPE": "epe", "EPE_dis": "epe_dis"}
"""What cards call scores of networks, where it is not the logged name."""
Card = dict[str, Any]


def main() -> None:
    """Train and write what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*WEIGHTS, []], help="default: all")
    for name in parser.parse_args().names or WEIGHTS:
        WEIGHTS[name](name)


@dataclass(frozen=True)
class Run:
    """A finished training: its directory, configuration, and what a card says about its making."""

    directory: Path
    config: dict[str, Any]
    made: Card

    @property
    def checkpoint(self) -> Path:
        """The weights that the training ended with."""
        return self.directory / "checkpoints/last.ckpt"

    def load(self, kind: Any) -> Any:
        """The method that the training ended with."""
        return kind.load_from_checkpoint(self.checkpoint, map_location="cpu", weights_only=True)

    def scores(self, flags: str = "") -> Card:
        """Scores on the test split, by the command line, before weights are rounded."""
        words = ["test", "--config", str(self.directory / "config.yaml"), *flags.split()]
        semsynth(*words, "--run_dir", str(self.directory), "--ckpt_path", str(self.checkpoint))
        scores = json.loads((self.directory / "scores/test.json").read_text())["scores"]
        names = ("MeanIoU", "PixelAccuracy", "fd_toy", "diversity_toy")
        return {f"test_{name}": round(scores[name], 4) for name in names}


def semsynth(*words: str) -> None:
    """Run the command line."""
    subprocess.run([sys.executable, "-m", "semsynth", *words], check=True)


def train(experiment: str, name: str, flags: str = "") -> Run:
    """Train an experiment with more flags, in a directory of its own."""
    commit = current_commit()  # before the training, during which the tree may change
    words = ["fit", "--config", experiment, "--run_dir", str(PLACE / name), *flags.split()]
    semsynth(*words, "--overwrite", "true", "--test_after_fit", "false")
    config = yaml.safe_load((PLACE / name / "config.yaml").read_text())
    command = shlex.join(["semsynth", *words])
    made = {"config": experiment, "command": command, "commit": commit}
    run = Run(PLACE / name, config, {"seed": config["seed_everything"]} | made)
    steps = torch.load(run.checkpoint, map_location="cpu", weights_only=True)["global_step"]
    run.made["images_seen"] = int(steps) * int(config["data"]["init_args"]["batch_size"])
    return run


def test(method: LightningModule, data: LightningDataModule) -> Card:
    """Scores on the test split, in this process."""
    trainer = Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
    scores = trainer.test(method, data, verbose=False)[0]
    named = {key.removeprefix("test/"): round(value, 4) for key, value in scores.items()}
    return {f"test_{CARD_NAMES.get(key, key)}": value for key, value in named.items()}


def write_network(run: Run, kind: Any, file: str, what: str, arguments: Sequence[str]) -> None:
    """Write the network of a method with its scores, for which it is rounded as what ships is."""
    method = run.load(kind)
    method.network.half().float()
    card = {
        "what": what,
        "network": {k: method.hparams[k] for k in arguments},
        **test(method, instantiate_class((), run.config["data"])),
        "test_size": run.config["data"]["init_args"]["test_size"],
        **run.made,
    }
    path = ASSETS / f"{file}.safetensors"
    write_weights(method.network.state_dict(), path, card, half=True)


def segmenter(name: str) -> None:
    """A toy segmenter."""
    run = train(f"experiments/segmenter/{name}.yaml", name)
    what = f"U-Net segmenter of {run.config['data']['class_path'].rsplit('.', 1)[-1]}"
    arguments = ("num_classes", "channels", "depth")
    write_network(run, methods.Segmenter, f"{name}_segmenter", what, arguments)


def flow_estimator(name: str) -> None:
    """The toy estimator of motion."""
    run = train("experiments/flow_estimator/toy_portrait.yaml", name)
    run.made["images_seen"] *= 2  # a sample is a pair
    widths = ("channels", "feature_dim", "hidden_dim", "context_dim")
    arguments = (*widths, "num_levels", "radius", "num_updates")
    what = "RAFT with log expansion of ToyPortrait"
    write_network(run, methods.FlowEstimator, "toy_flow", what, arguments)


def prior(name: str) -> None:
    """The averaged generator of the toy prior."""
    run = train("experiments/stylegan2/toy64.yaml", name)
    method = run.load(methods.StyleGAN2)
    generator = method.generator.eval().requires_grad_(False).half().float()
    generator.estimate_mean_latent()
    generator.half().float()
    scores = measure_prior(generator, num_samples=2048)
    labelling = {k: v for k, v in scores.items() if k.startswith("one_shot_miou_")}
    arguments = ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max")
    built = {k: method.hparams[k] for k in arguments}
    card = {
        "what": "StyleGAN2 of ToyPortrait",
        "generator": built | {"image_size": generator.image_size},
        "features": "toy_portrait",
        "feature_resolution": int(max(labelling, key=labelling.__getitem__).rsplit("_", 1)[1]),
        **scores,
        **run.made,
    }
    save_generator(generator, ASSETS / "toy_portrait_stylegan2.safetensors", card, half=True)


def editor(name: str) -> None:
    """The latent transformer of the toy prior, trained on cached pairs."""
    experiment = "experiments/user_controllable_lt/toy_portrait.yaml"
    arguments = yaml.safe_load(Path(experiment).read_text())["model"]["init_args"]
    root = str(PLACE / "editing_pairs")
    low, high = arguments["perturbation"]
    words = (
        "pairs --prior {prior} --num_tokens {num_tokens} --truncation {train_truncation} "
        "--feature_resolution {feature_resolution} --centred --shared"
    ).format(**arguments)
    words += f" --perturbation {low} {high} --num {PAIRS} --out {root}"
    semsynth(*words.split())
    flags = f"--data CachedPairs --data.root {root} --data.batch_size 32"
    run = train(experiment, name, flags)
    method = run.load(methods.UserControllableLT).eval()
    method.transformer.half().float()
    method.calibrate()
    card = {
        "what": "latent transformer of the toy prior",
        "method": {k: v for k, v in run.config["model"]["init_args"].items() if k != "prior"},
        "prior": {"name": method.prior, "fingerprint": fingerprint(method.generator)},
        **test(method, GeneratedPairs(test_size=512, eval_batch_size=32)),
        "test_pairs": 512,
        "gain": round(float(method.gain), 3),
        **run.made,
        "pairs": f"semsynth {words}",
    }
    save_editor(method.editor_state(), ASSETS / "toy_portrait_layout.safetensors", card, half=True)


def clvae(name: str) -> None:
    """The CLVAE of the studio."""
    flags = (
        "--trainer.max_steps 5000 --trainer.limit_val_batches 0 --trainer.callbacks GeneratorEMA "
        "--checkpoint.every_n_train_steps 500"
    )
    run = train("experiments/clvae/toy_street.yaml", name, flags)
    card = {
        "what": "CLVAE of ToyStreet",
        "classes": classes_of(ToyStreet.world.label_space),
        **run.scores(),
        **run.made,
    }
    save_trained(run.load(methods.CLVAE), ASSETS / "toy_street_clvae_trained.safetensors", card)


def fewshot(name: str) -> None:
    """The encoder of the studio, trained on scribbled samples."""
    root = PLACE / "scribbled"
    words = f"draw --prior toy_portrait --num {SHOTS} --truncation 0.7 --output {root}"
    semsynth(*words.split(), "--overwrite")
    network = load_segmenter("toy_portrait")
    for number, file in enumerate(sorted((root / "train/images").glob("*.png"))):
        mask = network(from_uint8(read_image(file))[None]).argmax(1)[0]
        strokes = scribbles(mask.numpy(), np.random.default_rng(number))  # as a person might
        save_mask(torch.from_numpy(strokes), root / "train/labels" / file.name)
    flags = (
        f"--data FewShotFolder --data.root {root} --data.num_classes 10 --data.labels sparse "
        "--data.image_size 64 --data.batch_size 16 --data.shots null --trainer.max_steps 1200 "
        "--trainer.val_check_interval 600 --model.refine none --model.augment sparse "
        "--model.style_weight 0 --model.truncation 0.7 --model.train_truncation [0.5,1.0] "
        "--checkpoint.every_n_train_steps 250"
    )
    run = train("experiments/fewshot_smis/toy_scribble_better.yaml", name, flags)
    test_data = "--data ToyPortrait --data.labels scribbles --data.image_size 64"
    card = {
        "what": f"FewShotSMIS from {SHOTS} scribbled samples of the toy prior",
        "classes": classes_of(ToyPortrait.world.label_space.with_unknown(first=True)),
        "unknown": 0,
        **run.scores(f"{test_data} --data.test_size 200"),
        **run.made,
        "drawn": f"semsynth {words}",
    }
    path = ASSETS / "toy_portrait_fewshot_trained.safetensors"
    save_trained(run.load(methods.FewShotSMIS), path, card)


def classes_of(space: LabelSpace) -> Card:
    """Names and colours for a card."""
    return {"names": list(space.names), "palette": [list(colour) for colour in space.palette]}


WEIGHTS = {
    "toy_street": segmenter,
    "toy_portrait": segmenter,
    "toy_flow": flow_estimator,
    "toy_prior": prior,
    "toy_editor": editor,
    "toy_clvae": clvae,
    "toy_fewshot": fewshot,
}
"""What trains and writes each; the later ones use the earlier ones."""

if __name__ == "__main__":
    main()
