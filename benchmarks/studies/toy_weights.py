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
from typing import Any, TypeVar

import numpy as np
import torch
import yaml
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import instantiate_class
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.figures.toy_prior import measure as measure_prior
from benchmarks.results import current_commit
from semsynth.data import GeneratedPairs, LabelSpace, ToyPortrait, ToyStreet
from semsynth.data.decode import read_image
from semsynth.data.sparse import scribbles
from semsynth.files import replaced, write_text
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

PLACE = Path("outputs/toy_weights")
PAIRS = 16384
SHOTS = 5
Config = dict[str, Any]
Trained = tuple[Path, Config, Config]
"""Directory of a run, its configuration, and what its card says about how it was made."""
Kind = TypeVar("Kind", bound=LightningModule)


def main() -> None:
    """Train and write what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*WEIGHTS, []], help="default: all")
    for name in parser.parse_args().names or WEIGHTS:
        WEIGHTS[name](name)


def segmenter(name: str) -> None:
    """A toy segmenter."""
    run_dir, config, made = train(f"experiments/segmenter/{name}.yaml", name)
    method = load(Segmenter, run_dir)
    half = halve(method.network)
    card = {
        "what": f"U-Net segmenter of {config['data']['class_path'].rsplit('.', 1)[-1]}",
        "network": {k: method.hparams[k] for k in ("num_classes", "channels", "depth")},
        "test_mean_iou": round(test(method, data_of(config))["test/MeanIoU"], 4),
        "test_images": config["data"]["init_args"]["test_size"],
        "images_seen": samples_seen(run_dir, config),
    }
    write(ASSETS / f"{name}_segmenter.safetensors", half, card | made)


def flow_estimator(name: str) -> None:
    """The toy estimator of motion."""
    run_dir, config, made = train("experiments/flow_estimator/toy_portrait.yaml", name)
    method = load(FlowEstimator, run_dir)
    half = halve(method.network)
    scores = test(method, data_of(config))
    widths = ("channels", "feature_dim", "hidden_dim", "context_dim")
    keys = (*widths, "num_levels", "radius", "num_updates")
    measured = ("EPE", "EPE_dis", "log_expansion_mae", "log_expansion_mae_dis")
    card = {
        "what": "RAFT with log expansion of ToyPortrait",
        "network": {k: method.hparams[k] for k in keys},
        **{f"test_{k.replace('EPE', 'epe')}": round(scores[f"test/{k}"], 4) for k in measured},
        "test_pairs": config["data"]["init_args"]["test_size"],
        "images_seen": 2 * samples_seen(run_dir, config),
    }
    write(ASSETS / "toy_flow.safetensors", half, card | made)


def prior(name: str) -> None:
    """The averaged generator of the toy prior."""
    run_dir, config, made = train("experiments/stylegan2/toy64.yaml", name)
    method = load(StyleGAN2, run_dir)
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
    save_generator(generator, ASSETS / "toy_portrait_stylegan2.safetensors", card, half=True)


def editor(name: str) -> None:
    """The latent transformer of the toy prior, trained on cached pairs."""
    experiment = "experiments/user_controllable_lt/toy_portrait.yaml"
    arguments = yaml.safe_load(Path(experiment).read_text())["model"]["init_args"]
    root = str(PLACE / "editing_pairs")
    low, high = arguments["perturbation"]
    words = (
        f"pairs --prior {arguments['prior']} --num {PAIRS} --out {root} --num_tokens "
        f"{arguments['num_tokens']} --perturbation {low} {high} --truncation "
        f"{arguments['train_truncation']} --centred --shared --feature_resolution "
        f"{arguments['feature_resolution']}"
    )
    semsynth(*words.split())
    flags = f"--data CachedPairs --data.root {root} --data.batch_size 32"
    run_dir, config, made = train(experiment, name, flags)
    method = load(UserControllableLT, run_dir).eval()
    halve(method.transformer)
    method.calibrate()
    scores = test(method, GeneratedPairs(test_size=512, eval_batch_size=32))
    card = {
        "what": "latent transformer of the toy prior",
        "method": {k: v for k, v in config["model"]["init_args"].items() if k != "prior"},
        "prior": {"name": method.prior, "fingerprint": fingerprint(method.generator)},
        **{key.replace("/", "_"): round(value, 4) for key, value in scores.items()},
        "test_pairs": 512,
        "gain": round(float(method.gain), 3),
        "pairs_seen": samples_seen(run_dir, config),
        **made,
        "pairs": f"semsynth {words}",
    }
    save_editor(method.editor_state(), ASSETS / "toy_portrait_layout.safetensors", card, half=True)


def clvae(name: str) -> None:
    """The CLVAE of the studio."""
    flags = (
        "--trainer.max_steps 5000 --trainer.limit_val_batches 0 --trainer.callbacks GeneratorEMA "
        "--checkpoint.every_n_train_steps 500"
    )
    run_dir, config, made = train("experiments/clvae/toy_street.yaml", name, flags)
    card = {
        "what": "CLVAE of ToyStreet",
        "classes": classes_of(ToyStreet.world.label_space),
        **scores_by_command(run_dir),
        "images_seen": samples_seen(run_dir, config),
        **made,
    }
    save_trained(load(CLVAE, run_dir), ASSETS / "toy_street_clvae_trained.safetensors", card)


def fewshot(name: str) -> None:
    """The encoder of the studio, trained on scribbled samples."""
    root = PLACE / "scribbled"
    words = f"draw --prior toy_portrait --num {SHOTS} --truncation 0.7 --output {root}"
    semsynth(*words.split(), "--overwrite")
    network = load_segmenter("toy_portrait")
    for number, file in enumerate(sorted((root / "train/images").glob("*.png"))):
        mask = network(from_uint8(read_image(file))[None]).argmax(1)[0]
        strokes = scribbles(mask.numpy(), np.random.default_rng(number))  # as a person might
        Image.fromarray(strokes.astype(np.uint8)).save(root / "train/labels" / file.name)
    flags = (
        f"--data FewShotFolder --data.root {root} --data.num_classes 10 --data.labels sparse "
        "--data.image_size 64 --data.batch_size 16 --data.shots null --trainer.max_steps 1200 "
        "--trainer.val_check_interval 600 --model.refine none --model.augment sparse "
        "--model.style_weight 0 --model.truncation 0.7 --model.train_truncation [0.5,1.0] "
        "--checkpoint.every_n_train_steps 250"
    )
    experiment = "experiments/fewshot_smis/toy_scribble_better.yaml"
    run_dir, config, made = train(experiment, name, flags)
    card = {
        "what": f"FewShotSMIS from {SHOTS} scribbled samples of the toy prior",
        "classes": classes_of(ToyPortrait.world.label_space.with_unknown(first=True)),
        "unknown": 0,
        **scores_by_command(
            run_dir,
            "--data ToyPortrait --data.labels scribbles --data.image_size 64 --data.test_size 200",
        ),
        "samples_seen": samples_seen(run_dir, config),
        **made,
        "drawn": f"semsynth {words}",
    }
    method = load(FewShotSMIS, run_dir)
    save_trained(method, ASSETS / "toy_portrait_fewshot_trained.safetensors", card)


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


def classes_of(space: LabelSpace) -> dict[str, Any]:
    """Names and colours for a card."""
    return {"names": list(space.names), "palette": [list(colour) for colour in space.palette]}


def semsynth(*words: str) -> None:
    """Run the command line."""
    subprocess.run([sys.executable, "-m", "semsynth", *words], check=True)


def train(experiment: str, name: str, flags: str = "") -> Trained:
    """Train an experiment with more flags, in a directory of its own."""
    commit = current_commit()  # before the training, during which the tree may change
    run_dir = PLACE / name
    words = ["fit", "--config", experiment, "--run_dir", str(run_dir), *flags.split()]
    semsynth(*words, "--overwrite", "true", "--test_after_fit", "false")
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


def load(kind: type[Kind], run_dir: Path) -> Kind:
    """The method that a training ended with."""
    path = last_checkpoint(run_dir)
    return kind.load_from_checkpoint(path, map_location="cpu", weights_only=True)


def halve(network: nn.Module) -> dict[str, Tensor]:
    """Weights in half precision, which the network gets too: what ships is what is measured."""
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    network.load_state_dict(half)
    return half


def data_of(config: Config) -> LightningDataModule:
    """The data of a run."""
    return instantiate_class((), config["data"])


def test(method: LightningModule, data: LightningDataModule) -> dict[str, float]:
    """Scores on the test split."""
    trainer = Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
    return dict(trainer.test(method, data, verbose=False)[0])


def scores_by_command(run_dir: Path, flags: str = "") -> dict[str, float]:
    """Scores of a training on the test split, by the command line, before weights are rounded."""
    words = ["test", "--config", str(run_dir / "config.yaml"), "--run_dir", str(run_dir)]
    semsynth(*words, "--ckpt_path", str(last_checkpoint(run_dir)), *flags.split())
    scores = json.loads((run_dir / "scores/test.json").read_text())["scores"]
    names = ("MeanIoU", "PixelAccuracy", "fd_toy", "diversity_toy")
    return {f"test_{name}": round(scores[name], 4) for name in names}


def write(path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write weights and their card."""
    with replaced(path) as temporary:
        save_file({k: v.contiguous() for k, v in state.items()}, temporary)
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")


def samples_seen(run_dir: Path, config: Config) -> int:
    """Training samples, repeats counted."""
    checkpoint = torch.load(last_checkpoint(run_dir), map_location="cpu", weights_only=True)
    return int(checkpoint["global_step"]) * int(config["data"]["init_args"]["batch_size"])


if __name__ == "__main__":
    main()
