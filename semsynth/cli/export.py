"""``semsynth export``: a labelled data set made to order."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from semsynth.files import write_text

OF_JUDGES = ("agreement", "class_agreement", "disagreement")
IN_CARD = (  # arguments that the samples depend on
    *("seed", "split", "format", "filters", "keep", "target_precision", "min_distance"),
    *("batch_size", "chunk"),
)


def export(
    *,
    output: Path,
    ckpt_path: Path | None = None,
    prior: str | None = None,
    labelled: Path | None = None,
    labelling: Literal["dense", "linear", "sparse"] = "dense",
    layers: Sequence[int] = (),
    perceptual: str = "auto",
    inversion_steps: int | None = None,
    source: Literal["masks", "samples"] | None = None,
    masks: Path | None = None,
    edit: Literal["none", "warp"] | None = None,
    paste: Sequence[str] = (),
    styles: int = 1,
    style: Literal["drawn", "photos"] = "drawn",
    num: int | None = None,
    truncation: float = 1.0,
    seed: int = 0,
    split: tuple[float, float, float] = (0.9, 0.1, 0.0),
    format: Literal["folder", "webdataset", "coco"] = "folder",
    filters: Sequence[
        Literal["agreement", "class_agreement", "disagreement", "margin", "copies"]
    ] = (),
    judges: Sequence[str] = (),
    keep: float = 0.8,
    target_precision: float | None = None,
    held_out: Path | None = None,
    min_distance: float = 0.03,
    batch_size: int = 32,
    chunk: int = 256,
    shard: str | None = None,
    device: str | None = None,
) -> None:
    r"""Write labelled images made by a trained method.

    Images, label maps of class indices, classes, splits, and a manifest with seed, source and
    confidence of each sample.

    From masks: --ckpt_path of CLVAE, FewShotSMIS or LabelFlow. The masks are the labelled ones of
    its training, or those of --masks, unedited or edited, in any number of styles.

    From samples: --ckpt_path of FewShotSMIS with --source samples, or --prior and --labelled:
    samples of the generator, with pseudo-labels from its features.

      semsynth export --ckpt_path CLVAE.ckpt --num 2000 --paste car --output exported
      semsynth export --ckpt_path CLVAE.ckpt --masks DIR --styles 8 --output exported
      semsynth export --prior toy_portrait --labelled mine --layers 16 32 \
          --num 5000 --output exported

    A sample that does not pass the filters goes to OUTPUT/dropped. Thresholds keep a share of the
    best (--keep), or are the lowest that reach a precision on held-out pixels and masks
    (--target_precision and --held_out):

      agreement        mean IoU of --judges with the mask, of each image
      class_agreement  the same for each class; the pixels of a class that fails
                       become unlabelled, 255
      disagreement     of several --judges (Jensen-Shannon); pixels above it become
                       unlabelled
      margin           of a pseudo-label before the next class; pixels below it
                       become unlabelled
      copies           distance to the nearest labelled training image, at least
                       --min_distance

    Many processes can write one data set: start the same command under torchrun, or with --shard
    0/4 to --shard 3/4. Rerun it to resume; the files are the same. Read the result as Folder,
    beside your own labels as Extended, and check it: semsynth data check --data folder.

    Args:
        output: Where to write.
        ckpt_path: Checkpoint of CLVAE, FewShotSMIS or LabelFlow.
        prior: A shipped prior, or its safetensors file.
        labelled: Few labelled images, as FewShotFolder, with --prior.
        labelling: How the features of --prior label.
        layers: Sizes of the features for labelling.
        perceptual: Distance of inversion, as of semsynth invert.
        inversion_steps: Steps of inversion, for labelled photos without codes.
        source: Source of the images; masks of a checkpoint by default.
        masks: Directory of masks; labelled ones of the training by default.
        edit: How to edit masks; none for --masks, else warp by default.
        paste: Classes put into other masks.
        styles: Images per mask.
        style: For CLVAE, random, or recombined from labelled photos, class by class.
        num: Samples; --styles for each mask by default.
        truncation: Truncation of samples; 1 is none.
        seed: Random seed.
        split: Shares of train, val and test.
        format: What to write; coco is a folder with annotations/SPLIT.json.
        filters: Filters to apply.
        judges: Segmenters trained on your labels.
        keep: Share to keep.
        target_precision: Precision to reach, in place of --keep.
        held_out: Directory of images and labels to measure it with.
        min_distance: Distance of colours in [0, 1] to training images.
        batch_size: Batch size.
        chunk: Samples of a shard; at most these are lost if the process is killed.
        shard: I/N, part I, from 0, of N; by default torchrun's rank.
        device: A GPU if there is one, else the CPU.
    """
    given = dict(locals())
    sizes = {"batch_size": batch_size, "chunk": chunk, "styles": styles, "num": num}
    for name, value in sizes.items():
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be at least 1, got {value}.")
    if (ckpt_path is None) == (prior is None):
        raise ValueError("Give either --ckpt_path of a training, or --prior and --labelled.")
    if prior is not None and labelled is None:
        raise ValueError("--prior needs --labelled, the folder of your labelled images.")
    if prior is not None and (source == "masks" or masks is not None):
        raise ValueError(
            "A prior can only generate samples; train FewShotSMIS to export from masks."
        )
    if source == "samples" and masks is not None:
        raise ValueError("Samples have no --masks; leave them out, or --source samples.")
    if min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"--split must be three shares that sum to 1, got {list(split)}.")
    if not 0 < keep <= 1:
        raise ValueError(f"--keep must be in 0..1, got {keep}.")
    if (target_precision is None) != (held_out is None):
        raise ValueError("--target_precision is measured on --held_out; give both or none.")
    if needing := [name for name in filters if name in OF_JUDGES and not judges]:
        raise ValueError(f"The filter {needing[0]} needs --judges, segmenters of these classes.")
    if "disagreement" in filters and len(judges) < 2:
        raise ValueError("The filter disagreement compares several --judges; name at least two.")
    import torch
    from rich.console import Console

    from semsynth import __version__
    from semsynth.cli.preflight import choose_device
    from semsynth.export import opening
    from semsynth.export.calibration import calibrate
    from semsynth.export.coco import write_coco
    from semsynth.export.copies import NearestPhoto
    from semsynth.export.filters import Thresholds
    from semsynth.export.finish import finish
    from semsynth.export.job import (
        CARD,
        SPLITS,
        Judged,
        Plan,
        lock_of,
        read_shard,
        run,
        start_card,
    )
    from semsynth.export.judges import Judges
    from semsynth.export.sources import Source
    from semsynth.export.writers import FolderWriter, ShardWriter
    from semsynth.weights.download import sha256_of

    part = read_shard(shard)
    writer = (ShardWriter if format == "webdataset" else FolderWriter)(output)
    place = choose_device(device)
    with torch.no_grad():  # not inference_mode, whose tensors an inversion cannot use
        if prior is not None and labelled is not None:
            opened = opening.open_prior(
                prior, labelled, labelling, list(layers) or None, perceptual, inversion_steps, place
            )
        else:
            assert ckpt_path is not None
            opened = opening.open_checkpoint(ckpt_path, place)
        made: Source
        if prior is not None or source == "samples":
            made = opening.sample_source(opened, seed, truncation)
        else:
            made = opening.mask_source(opened, masks, edit, paste, styles, style, seed)
        if not (count := num or styles * made.num_masks):
            raise ValueError("Give the number of samples with --num.")
        classes = opened.space.num_classes
        plan = Plan(output, count, seed, chunk, batch_size, split, made.keeps_masks, classes)
        of_masks = Judges(judges, classes, place) if judges else None
        photos = NearestPhoto(opened.images, opened.names, place)
        judged = Judged(made, classes, of_masks, photos)
        card = {
            "what": "labelled images",
            "origin": made.describe() | opened.origin,
            **{key: given[key] for key in IN_CARD},
            "judges": [sha256_of(Path(j)) if Path(j).is_file() else j for j in judges],
            "num": count,
            "semsynth": __version__,
        }
        with lock_of(output):
            stored = start_card(output, card)
            if "thresholds" not in stored:
                found = calibrate(plan, judged, opened, filters, keep, target_precision, held_out)
                found.copies = min_distance if "copies" in filters else None
                stored["thresholds"] = found.to_json()
                write_text(output / CARD, json.dumps(stored, indent=1) + "\n")
        thresholds = Thresholds(**stored["thresholds"])
        run(plan, judged, thresholds, writer, part)
    complete = finish(plan, opened.space, thresholds, writer)
    for split_name in SPLITS if complete and format == "coco" else ():
        annotations = output / "annotations" / f"{split_name}.json"
        if (output / split_name).is_dir() and not annotations.is_file():
            write_coco(output / split_name, annotations, opened.space)
    state = (
        "complete; look at sheets/ and report.md" if complete else "waiting for the other shards"
    )
    Console(stderr=True).print(f"{output} {state}.", soft_wrap=True)
