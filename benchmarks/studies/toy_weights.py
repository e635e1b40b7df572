"""Retrain the weights that ship: ``python -m benchmarks.studies.toy_weights [NAME ...]``.

Each is trained by its experiment through the command line, and written to ``semsynth/assets`` as
half-precision safetensors with a card that says how it was made and what it scores.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import instantiate_class
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.figures.toy_prior import measure as measure_prior
from benchmarks.results import current_commit
from semsynth.data import GeneratedPairs, LabelSpace, ToyPortrait, ToyStreet
from semsynth.data.decode import read_image
from semsynth.data.sparse import scribbles
from semsynth.images import from_uint8
from semsynth.methods import (
    CLVAE,
    FewShotSMIS,
    FlowEstimator,
    Segmenter,
    StyleGAN2,
    UserControllableLT,
)
from semsynth.methods.trained import save_trained
from semsynth.weights import ASSETS, load_segmenter
from semsynth.weights.editors import save_editor
from semsynth.weights.priors import fingerprint, save_generator

SEGMENTERS = ("toy_street", "toy_portrait")
NAMES = (*SEGMENTERS, "toy_flow", "toy_prior", "toy_layout", "toy_clvae", "toy_fewshot")
PAIRS = 16384
SHOTS = 5


def main() -> None:
    """Train and write what is named, or everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.studies.toy_weights"
    )
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="default: all")
    for name in parser.parse_args().names or NAMES:
        if name in SEGMENTERS:
            train_segmenter(name)
        elif name == "toy_flow":
            train_flow_estimator()
        elif name == "toy_layout":
            train_layout()
        elif name == "toy_clvae":
            train_clvae()
        elif name == "toy_fewshot":
            train_fewshot()
        else:
            write_prior(*train("experiments/stylegan2/toy64.yaml", "toy_prior"))


def train_segmenter(name: str) -> None:
    """Train a toy segmenter and write it with its card."""
    run_dir, config, made = train(f"experiments/segmenter/{name}.yaml", name)
    segmenter = Segmenter.load_from_checkpoint(
        last_checkpoint(run_dir), map_location="cpu", weights_only=True
    )
    half = halve(segmenter.network)
    card = {
        "what": f"U-Net segmenter of {config['data']['class_path'].rsplit('.', 1)[-1]}",
        "network": {k: segmenter.hparams[k] for k in ("num_classes", "channels", "depth")},
        "test_mean_iou": round(measure(segmenter, config)["test/MeanIoU"], 4),
        "test_images": config["data"]["init_args"]["test_size"],
        "images_seen": samples_seen(run_dir, config),
    }
    write(ASSETS / f"{name}_segmenter.safetensors", half, card | made)


def train_flow_estimator() -> None:
    """Train the toy estimator of motion and write it with its card."""
    experiment = "experiments/flow_estimator/toy_portrait.yaml"
    run_dir, config, made = train(experiment, "toy_flow")
    estimator = FlowEstimator.load_from_checkpoint(
        last_checkpoint(run_dir), map_location="cpu", weights_only=True
    )
    half = halve(estimator.network)
    scores = measure(estimator, config)
    widths = ("channels", "feature_dim", "hidden_dim", "context_dim")
    keys = (*widths, "num_levels", "radius", "num_updates")
    card = {
        "what": "RAFT with log expansion of ToyPortrait",
        "network": {k: estimator.hparams[k] for k in keys},
        "test_epe": round(scores["test/EPE"], 4),
        "test_epe_dis": round(scores["test/EPE_dis"], 4),
        "test_log_expansion_mae": round(scores["test/log_expansion_mae"], 4),
        "test_log_expansion_mae_dis": round(scores["test/log_expansion_mae_dis"], 4),
        "test_pairs": config["data"]["init_args"]["test_size"],
        "images_seen": 2 * samples_seen(run_dir, config),
    }
    write(ASSETS / "toy_flow.safetensors", half, card | made)


def write_prior(run_dir: Path, config: dict[str, Any], made: dict[str, Any]) -> None:
    """Write the averaged generator of a training with its card."""
    method = StyleGAN2.load_from_checkpoint(
        last_checkpoint(run_dir), map_location="cpu", weights_only=True
    )
    generator = method.generator.eval().requires_grad_(False)
    halve(generator)
    generator.estimate_mean_latent()
    halve(generator)
    scores = measure_prior(generator, num_samples=2048)
    labelling = {k: v for k, v in scores.items() if k.startswith("one_shot_miou_")}
    arguments = ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max")
    card = {
        "what": "StyleGAN2 of ToyPortrait",
        "generator": {k: method.hparams[k] for k in arguments}
        | {"image_size": method.hparams["image_size"][0]},
        "features": "toy_portrait",
        "feature_resolution": int(max(labelling, key=labelling.__getitem__).rsplit("_", 1)[1]),
        **scores,
        "images_seen": samples_seen(run_dir, config),
        **made,
    }
    path = ASSETS / "toy_portrait_stylegan2.safetensors"
    save_generator(generator, path, card, half=True)


def train_layout() -> None:
    """Cache pairs of the toy prior, train a latent transformer on them, write it with its card."""
    experiment = "experiments/user_controllable_lt/toy_portrait.yaml"
    arguments = yaml.safe_load(Path(experiment).read_text())["model"]["init_args"]
    root = Path("outputs/toy_weights/layout_pairs")
    words = ["pairs", "--prior", arguments["prior"], "--num", str(PAIRS), "--out", str(root)]
    low, high = map(str, arguments["perturbation"])
    words += ["--num_tokens", str(arguments["num_tokens"]), "--perturbation", low, high]
    words += ["--truncation", str(arguments["train_truncation"]), "--centred", "--shared"]
    words += ["--feature_resolution", str(arguments["feature_resolution"])]
    subprocess.run([sys.executable, "-m", "semsynth", *words], check=True)
    flags = ["--data", "CachedPairs", "--data.root", str(root), "--data.batch_size", "32"]
    run_dir, config, made = train(experiment, "toy_layout", *flags)
    write_layout(run_dir, config, made | {"pairs": shlex.join(["semsynth", *words])})


def write_layout(run_dir: Path, config: dict[str, Any], made: dict[str, Any]) -> None:
    """Write the latent transformer of a training with its card."""
    checkpoint = last_checkpoint(run_dir)
    method = UserControllableLT.load_from_checkpoint(
        checkpoint, map_location="cpu", weights_only=True
    ).eval()
    halve(method.transformer)
    method.calibrate()
    data = GeneratedPairs(test_size=512, eval_batch_size=32)
    trainer = Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
    scores = trainer.test(method, data, verbose=False)[0]
    card = {
        "what": "latent transformer of the toy prior",
        "method": {k: v for k, v in config["model"]["init_args"].items() if k != "prior"},
        "prior": {"name": method.prior, "fingerprint": fingerprint(method.generator)},
        **{key.replace("/", "_"): round(value, 4) for key, value in scores.items()},
        "test_pairs": 512,
        "gain": round(float(method.gain), 3),
        "pairs_seen": samples_seen(run_dir, config),
        **made,
    }
    save_editor(method.editor_state(), ASSETS / "toy_portrait_layout.safetensors", card, half=True)


def train_clvae() -> None:
    """Train the CLVAE of the studio and write it with its card."""
    flags = ["--trainer.max_steps", "5000", "--trainer.limit_val_batches", "0"]
    flags += ["--trainer.callbacks", "GeneratorEMA", "--checkpoint.every_n_train_steps", "500"]
    write_clvae(*train("experiments/clvae/toy_street.yaml", "toy_clvae", *flags))


def write_clvae(run_dir: Path, config: dict[str, Any], made: dict[str, Any]) -> None:
    """Write the CLVAE of a training with its card."""
    checkpoint = last_checkpoint(run_dir)
    method = CLVAE.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    card = {
        "what": "CLVAE of ToyStreet",
        "classes": classes_of(ToyStreet.world.label_space),
        **test_scores(run_dir),
        "images_seen": samples_seen(run_dir, config),
        **made,
    }
    save_trained(method, ASSETS / "toy_street_clvae_trained.safetensors", card)


def train_fewshot() -> None:
    """Train the encoder of the studio on scribbled samples, and write it with its card."""
    root = Path("outputs/toy_weights/scribbled")
    words = ["draw", "--prior", "toy_portrait", "--num", str(SHOTS), "--truncation", "0.7"]
    words += ["--output", str(root)]
    subprocess.run([sys.executable, "-m", "semsynth", *words, "--overwrite"], check=True)
    scribble_on(root / "train")
    flags = ["--data", "FewShotFolder", "--data.root", str(root), "--data.num_classes", "10"]
    flags += ["--data.labels", "sparse", "--data.image_size", "64", "--data.batch_size", "16"]
    flags += ["--data.shots", "null", "--trainer.max_steps", "1200"]
    flags += ["--trainer.val_check_interval", "600", "--model.refine", "none"]
    flags += ["--model.augment", "sparse", "--model.style_weight", "0", "--model.truncation", "0.7"]
    flags += ["--model.train_truncation", "[0.5,1.0]", "--checkpoint.every_n_train_steps", "250"]
    made = train("experiments/fewshot_smis/toy_scribble_better.yaml", "toy_fewshot", *flags)
    write_fewshot(*made[:2], made[2] | {"drawn": shlex.join(["semsynth", *words])})


def scribble_on(folder: Path) -> None:
    """Label samples as a person might: strokes in the regions that the toy segmenter sees."""
    segmenter = load_segmenter("toy_portrait")
    for number, file in enumerate(sorted((folder / "images").glob("*.png"))):
        mask = segmenter(from_uint8(read_image(file))[None]).argmax(1)[0]
        strokes = scribbles(mask.numpy(), np.random.default_rng(number))
        Image.fromarray(strokes.astype(np.uint8)).save(folder / "labels" / file.name)


def write_fewshot(run_dir: Path, config: dict[str, Any], made: dict[str, Any]) -> None:
    """Write the encoder of a training, and what refinement needs, with its card."""
    checkpoint = last_checkpoint(run_dir)
    method = FewShotSMIS.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    data = ["--data", "ToyPortrait", "--data.labels", "scribbles", "--data.image_size", "64"]
    card = {
        "what": f"FewShotSMIS from {SHOTS} scribbled samples of the toy prior",
        "classes": classes_of(ToyPortrait.world.label_space.with_unknown(first=True)),
        "unknown": 0,
        **test_scores(run_dir, *data, "--data.test_size", "200"),
        "samples_seen": samples_seen(run_dir, config),
        **made,
    }
    save_trained(method, ASSETS / "toy_portrait_fewshot_trained.safetensors", card)


def classes_of(space: LabelSpace) -> dict[str, Any]:
    """Names and colours for a card."""
    return {"names": list(space.names), "palette": [list(colour) for colour in space.palette]}


def test_scores(run_dir: Path, *flags: str) -> dict[str, float]:
    """Scores of a training on the test split, by the command line, before weights are rounded."""
    checkpoint = str(last_checkpoint(run_dir))
    words = ["test", "--config", str(run_dir / "config.yaml"), "--ckpt_path", checkpoint, *flags]
    words += ["--run_dir", str(run_dir)]
    subprocess.run([sys.executable, "-m", "semsynth", *words], check=True)
    scores = json.loads((run_dir / "scores/test.json").read_text())["scores"]
    names = ("MeanIoU", "PixelAccuracy", "fd_toy", "diversity_toy")
    return {f"test_{name}": round(scores[name], 4) for name in names}


def train(experiment: str, name: str, *flags: str) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Train an experiment through the command line.

    Args:
        experiment: Path of its YAML file.
        name: Name of the run below ``outputs/toy_weights``.
        flags: More arguments.

    Returns:
        Directory of the run, its configuration, and what its card says about how it was made.
    """
    commit = current_commit()  # before the training, during which the tree may change
    run_dir = Path("outputs/toy_weights") / name
    words = ["fit", "--config", experiment, "--run_dir", str(run_dir), *flags]
    command = [sys.executable, "-m", "semsynth", *words, "--overwrite", "true"]
    subprocess.run([*command, "--test_after_fit", "false"], check=True)
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    made = {
        "seed": config["seed_everything"],
        "config": experiment,
        "command": shlex.join(["semsynth", *words]),
        "commit": commit,
        "torch": torch.__version__,
        "storage": "float16",
    }
    return run_dir, config, made


def last_checkpoint(run_dir: Path) -> Path:
    """The weights that a training ended with."""
    return run_dir / "checkpoints/last.ckpt"


def halve(network: nn.Module) -> dict[str, Tensor]:
    """Weights in half precision, which the network gets too: what ships is what is measured."""
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    network.load_state_dict(half)
    return half


def measure(method: LightningModule, config: dict[str, Any]) -> dict[str, float]:
    """Scores on the test split."""
    trainer = Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
    data = instantiate_class((), config["data"])
    return dict(trainer.test(method, data, verbose=False)[0])


def write(path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write weights and their card."""
    temporary = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in state.items()}, temporary)
    temporary.replace(path)
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def samples_seen(run_dir: Path, config: dict[str, Any]) -> int:
    """Training samples, repeats counted."""
    checkpoint = torch.load(last_checkpoint(run_dir), map_location="cpu", weights_only=True)
    return int(checkpoint["global_step"]) * int(config["data"]["init_args"]["batch_size"])


if __name__ == "__main__":
    main()
