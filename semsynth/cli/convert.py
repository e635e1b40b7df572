"""``semsynth import``: official checkpoints, and our own trainings, to ours."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from semsynth.cli.messages import require_at_least
from semsynth.errors import UserError, require_writable

if TYPE_CHECKING:
    from semsynth.interop.stylegan2 import ImportedStyleGAN2


def convert(
    file: Path,
    *,
    kind: Annotated[Literal["stylegan2", "fewshot_smis", "user_controllable_lt", "clvae"], "--as"],
    out: Path,
    dataset: Literal["ffhq", "car", "cat", "church", "anime"] | None = None,
    half: bool = False,
    overwrite: bool = False,
    label_order: Literal["raw", "shifted"] | None = None,
    image_size: tuple[int, int] | None = None,
) -> None:
    """Convert a checkpoint to safetensors files with JSON cards, or to a run directory (clvae).

    formats of stylegan2:
      .pt    of rosinality's code (converted, or of a training), bundles of pSp and its descendants
      .pkl   of NVIDIA's stylegan2-ada-pytorch and stylegan3 repositories (StyleGAN2 networks)
      .ckpt  of our own method StyleGAN2
    format of fewshot_smis:
      .pt    of pSp and its descendants: an encoder, for a method, and its generator, a prior
    format of user_controllable_lt:
      .pt    as released: a latent transformer, NAME_layout, and its generator, a prior,
             NAME_stylegan2. Give --dataset, as the files lack the units of motion
    formats of clvae, imported to a run directory for --ckpt_path:
      DIR    with latest_net_G.pth and, if you have them, latest_net_E.pth and latest_net_D.pth
      .pth   *_net_G.pth of another epoch; the others are looked for beside it

    Nothing in a file is executed.

    Args:
        file: The checkpoint.
        kind: What it is.
        out: Where to write.
        dataset: What a latent transformer was trained on.
        half: Store float16, in half the space.
        overwrite: Replace existing files.
        label_order: For clvae: raw if channel 0 of the checkpoint is unknown and channel k is value
            k of the label files, as in the official checkpoints for ADE20K, whose label shift has
            no effect; the channels are then reordered as in our ADE20K, unknown last. shifted takes
            the channels unchanged. By default raw for 151 classes, else shifted.
        image_size: For clvae: height and width of the images, which the weights do not determine;
            by default those of the paper's models with a first map of this size.
    """
    require_at_least(1, image_size=min(image_size or [1]))
    require_writable(out, "--out")
    if kind == "clvae":
        if half:
            raise UserError("--half is for safetensors; checkpoints of methods are float32.")
        text = write_clvae(file, out, overwrite, label_order, image_size)
    elif kind == "user_controllable_lt":
        text = write_latent_transformer(file, out, overwrite, half, dataset)
    elif kind == "fewshot_smis":
        text = write_encoder(file, out, overwrite, half)
    else:
        text = write_prior(file, out, overwrite, half)
    sys.stdout.write(text)


def free(target: Path, overwrite: bool) -> Path:
    """A file to write; one that exists is refused without ``overwrite``."""
    if target.exists() and not overwrite:
        raise UserError(f"{target} already exists; replace it with --overwrite.")
    return target


def write_prior(file: Path, out: Path, overwrite: bool, half: bool) -> str:
    """Import StyleGAN2 and write it; returns a summary."""
    from semsynth.interop.stylegan2 import import_stylegan2
    from semsynth.weights.priors import save_generator

    target = free(out / f"{file.stem}.safetensors", overwrite)
    imported = import_stylegan2(file)
    card = describe(imported, file)
    save_generator(imported.generator, target, card, imported.discriminator, half=half)
    return summary(card) + wrote(target)


def write_encoder(file: Path, out: Path, overwrite: bool, half: bool) -> str:
    """Import an encoder and its generator and write both; returns a summary."""
    from semsynth.interop.psp import import_psp
    from semsynth.weights.encoders import SUFFIX, save_encoder
    from semsynth.weights.priors import read_card, save_generator

    prior = free(out / f"{file.stem}.safetensors", overwrite)
    target = free(out / f"{file.stem}{SUFFIX}.safetensors", overwrite)
    imported = import_psp(file)
    card = describe(imported.prior, file)
    save_generator(imported.prior.generator, prior, card, half=half)
    E = imported.encoder_arguments
    of_encoder = {
        "what": "encoder of layouts to styles",
        "prior_file": prior.name,
        "encoder": E,
        "prior": read_card(prior)["fingerprint"],
        **{key: card[key] for key in ("source", "licence")},
    }
    save_encoder(imported.encoder, target, of_encoder, half=half)
    return (
        summary(card)
        + f"Encoder of {E['in_channels']} channels at {E['image_size']}x{E['image_size']} to "
        f"{E['num_ws']} styles.\n" + wrote(prior) + wrote(target)
    )


def write_latent_transformer(
    file: Path, out: Path, overwrite: bool, half: bool, dataset: str | None
) -> str:
    """Import a latent transformer and its generator and write both; returns a summary."""
    from semsynth.interop.latent_transformer import SIGMAS, import_latent_transformer
    from semsynth.weights.editors import SUFFIX, save_editor
    from semsynth.weights.priors import SUFFIX as PRIOR_SUFFIX
    from semsynth.weights.priors import fingerprint, load_generator, save_generator

    if dataset is None:
        raise UserError(
            "a latent transformer's file lacks its units of motion. Give its training data: "
            f"--dataset {' | '.join(SIGMAS)}."
        )
    prior = free(out / f"{file.stem}{PRIOR_SUFFIX}.safetensors", overwrite)
    target = free(out / f"{file.stem}{SUFFIX}.safetensors", overwrite)
    imported = import_latent_transformer(file)
    card = describe(imported.prior, file)
    save_generator(imported.prior.generator, prior, card, half=half)
    sigma_flow, sigma_expansion = SIGMAS[dataset]
    state = {f"transformer.{k}": v for k, v in imported.transformer.state_dict().items()}
    new = imported.transformer.position.new_tensor
    state["motion_scale"] = new([sigma_flow, sigma_flow, sigma_expansion])
    state["gain"] = new(1.0)
    method = {"normalise_layers": True, "points": "grid", "gain": "released"}
    of_editor = {
        "what": "latent transformer of UserControllableLT",
        "method": imported.arguments | method,
        "prior": {"name": prior.name, "fingerprint": fingerprint(load_generator(prior))},
        "dataset": dataset,
        "source": card["source"],
        "licence": "MIT, as the code it was trained with",
    }
    save_editor(state, target, of_editor, half=half)
    return (
        f"{file.name}: generator of {imported.prior.generator.image_size} pixels, latent "
        f"transformer of {imported.arguments['num_tokens']} latents, units {sigma_flow} px and "
        f"{sigma_expansion} ({dataset}).\nWrote {prior} and {target} with their cards.\n"
    )


def write_clvae(
    file: Path,
    out: Path,
    overwrite: bool,
    label_order: Literal["raw", "shifted"] | None,
    image_size: tuple[int, int] | None,
) -> str:
    """Import CLVAE's networks to a run directory; returns a summary."""
    from semsynth.interop.clvae import LICENCE, import_clvae, save_clvae

    target = free(out / "checkpoints" / "official.ckpt", overwrite)
    imported = import_clvae(file, image_size, label_order)
    save_clvae(imported, out)
    a = imported.arguments
    return (
        f"{', '.join(file.name for file in imported.files)}: images of {a['image_size'][0]}x"
        f"{a['image_size'][1]} (upsampling {a['upsampling']}), {a['num_classes']} classes in "
        f"{imported.label_order} order, codes of {a['code_dim']}, channels {a['channels']}; "
        f"missing: {', '.join(imported.absent) or 'nothing'}.\nLicence: {LICENCE}.\n"
        f"Wrote {target}. Next: semsynth predict --ckpt_path {target} --masks DIR\n"
    )


def wrote(target: Path) -> str:
    """A message for the user."""
    return f"Wrote {target} and {target.with_suffix('.json').name}.\n"


def describe(imported: "ImportedStyleGAN2", file: Path) -> dict[str, Any]:
    """The card of an imported prior."""
    from semsynth.weights.download import sha256_of

    card = {
        "what": "StyleGAN2 prior",
        "generator": imported.generator_arguments,
        "discriminator": imported.discriminator_arguments,
        "mean_latent": "estimated" if imported.mean_latent_estimated else "of the source",
        "source": {
            "file": file.name,
            "sha256": sha256_of(file),
            "format": imported.source.format,
            "left_out": imported.source.left_out,
        },
        "licence": imported.source.licence,
    }
    return {key: value for key, value in card.items() if value is not None}


def summary(card: dict[str, Any]) -> str:
    """What was found, for the user."""
    G, source = card["generator"], card["source"]
    what = "generator and discriminator" if "discriminator" in card else "generator"
    left_out = ", ".join(source["left_out"]) or "nothing"
    return (
        f"{source['file']} ({source['format']}): {what}.\n"
        f"Images of {G['image_size']}x{G['image_size']}, z {G['z_dim']}, w {G['w_dim']}, "
        f"{G['mapping_layers']} mapping layers, channel_base {G['channel_base']}, channel_max "
        f"{G['channel_max']}; mean latent {card['mean_latent']}; left out: {left_out}.\n"
        f"Licence: {card['licence']}.\n"
    )
