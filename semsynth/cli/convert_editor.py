r"""A released latent transformer to a prior and an editor, two files with their cards.\n."""

import argparse

from semsynth.cli.convert import describe
from semsynth.interop.latent_transformer import SIGMAS, import_latent_transformer
from semsynth.weights import WeightsError
from semsynth.weights.editors import SUFFIX, save_editor
from semsynth.weights.priors import SUFFIX as PRIOR_SUFFIX
from semsynth.weights.priors import fingerprint, load_generator, save_generator


def import_editor(options: argparse.Namespace) -> str:
    """Write both files.

    Args:
        options: Arguments of ``semsynth import``.

    Returns:
        What was found and written, for the user.

    Raises:
        CheckpointError: The file is not understood in full.
        WeightsError: There is no ``dataset``, or a file is there already.
    """
    if options.dataset is None:
        raise WeightsError(
            "a latent transformer asks for motion in units that its file does not hold, and its "
            f"name is no proof. Say what it was trained on: --dataset {' | '.join(SIGMAS)}."
        )
    stem = options.file.stem
    prior_file = options.out / f"{stem}{PRIOR_SUFFIX}.safetensors"
    editor_file = options.out / f"{stem}{SUFFIX}.safetensors"
    for file in (prior_file, editor_file):
        if file.exists() and not options.overwrite:
            raise WeightsError(f"{file} is there already; replace it with --overwrite.")
    imported = import_latent_transformer(options.file)
    prior_card = describe(imported.prior, options.file)
    save_generator(imported.prior.generator, prior_file, prior_card, half=options.half)
    sigma_flow, sigma_expansion = SIGMAS[options.dataset]
    state = {f"transformer.{k}": v for k, v in imported.transformer.state_dict().items()}
    state["motion_scale"] = imported.transformer.position.new_tensor(
        [sigma_flow, sigma_flow, sigma_expansion]
    )
    state["gain"] = imported.transformer.position.new_ones(())
    card = {
        "what": "latent transformer of UserControllableLT",
        "method": {
            **imported.arguments,
            "normalise_layers": True,
            "points": "grid",
            "gain": "released",
        },
        "prior": {"name": prior_file.name, "fingerprint": fingerprint(load_generator(prior_file))},
        "dataset": options.dataset,
        "source": prior_card["source"],
        "licence": "MIT, as the code it was trained with",
    }
    save_editor(state, editor_file, card, half=options.half)
    return (
        f"{options.file.name}: generator of {imported.prior.generator.image_size} pixels, latent "
        f"transformer of {imported.arguments['num_tokens']} latents, units {sigma_flow} px and "
        f"{sigma_expansion} ({options.dataset}).\n"
        f"Wrote {prior_file} and {editor_file} with their cards.\n"
    )
