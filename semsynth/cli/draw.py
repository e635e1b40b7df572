"""``semsynth draw``: samples of a prior to be labelled by hand."""

from pathlib import Path

from semsynth.cli.messages import require_at_least
from semsynth.errors import UserError, require_writable
from semsynth.files import write_tensors, write_text

NOTE = """\
Samples of the prior {prior!r} (fingerprint {fingerprint}), seed {seed}.
For each of train/images/NAME.png put a label map of class indices, train/labels/NAME.png, here:
{labels}
Delete image and code of unlabelled ones. Put masks to synthesise from in test/labels,
and then:
  semsynth fit --config experiments/fewshot_smis/YOURS.yaml --data.root {output}
"""


def draw(
    *,
    prior: str,
    output: Path,
    num: int = 8,
    seed: int = 0,
    truncation: float = 1.0,
    overwrite: bool = False,
) -> None:
    """Draw samples of a generator, for you to label.

    Writes train/images/NAME.png and the code that made it, train/codes/NAME.safetensors. Draw a
    label map for each image as train/labels/NAME.png: class indices in one channel; in scribbles
    and landmarks 0 is unknown. Then train on the folder as FewShotFolder. Such images need no
    inversion, so labels and features agree.

    Args:
        prior: A shipped one, or its safetensors file.
        output: Where to write.
        num: Samples.
        seed: Seed of the samples.
        truncation: 1 is none, as in the paper.
        overwrite: Replace existing samples.
    """
    require_at_least(1, num=num)
    require_writable(output, "--output")
    import torch

    from semsynth.images import save_png, to_uint8
    from semsynth.networks.noise import sample_seed, seeded_normal
    from semsynth.weights.priors import fingerprint, load_generator

    folder = output / "train"
    if any((folder / "codes").glob("*")) and not overwrite:
        raise UserError(
            f"{folder} already has samples; add --overwrite, or choose another directory."
        )
    generator = load_generator(prior)
    labels = folder / "labels"
    labels.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        for index in torch.arange(num).split(8):
            z = seeded_normal(sample_seed(seed, index), generator.z_dim)
            w_plus = generator.repeat(generator.truncate(generator.mapping(z), truncation))
            images = to_uint8(generator.synthesis(w_plus))
            for i, image, code in zip(index.tolist(), images, w_plus, strict=True):
                name = f"{seed}_{i:04d}"
                save_png(image, folder / "images" / f"{name}.png")
                write_tensors(folder / "codes" / f"{name}.safetensors", {"codes": code[None]})
    made_by = {"prior": prior, "fingerprint": fingerprint(generator)[:12], "seed": seed}
    note = NOTE.format(**made_by, labels=labels, output=output)
    write_text(output / "README.txt", note)
    print(note, end="")
