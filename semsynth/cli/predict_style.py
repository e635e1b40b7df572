"""The style options of ``semsynth predict``: reference, classes and levels."""

from pathlib import Path
from typing import Any, Literal

from lightning import LightningModule
from lightning.pytorch.cli import LightningArgumentParser

from semsynth.data import DataError, SynthesisDataModule, read_reference
from semsynth.data.decode import read_image
from semsynth.data.latents import CODE_SUFFIXES, read_codes
from semsynth.images import from_uint8

GROUP = "Style: for CLVAE, by class and level, and FewShotSMIS, of a whole image"
REFERENCE = """Photo to take the style from, or for FewShotSMIS the file of its code; without it,
CLVAE resamples codes of the data's own photos."""
REFERENCE_MASK = "CLVAE: label map of that photo, in the values of the training data."
CLASSES = "Names or indices of the classes to take or resample (default: all), as [sky, tree]."
LEVELS = "Levels to take or resample (default: all), 0 for texture up to 4 for colour, as [3, 4]."
FILL = "Code of a class that is too small for a level in the reference: mean or random."
KEEP = "Restore the data's own pixels outside the classes."


def add_style_arguments(parser: LightningArgumentParser) -> None:
    """Add the group ``style`` to the parser of ``predict``."""
    group = parser.add_argument_group(GROUP)
    none: dict[str, Any] = {"default": None}
    group.add_argument("--style.reference", type=str | None, help=REFERENCE, **none)
    group.add_argument("--style.reference_mask", type=str | None, help=REFERENCE_MASK, **none)
    group.add_argument("--style.classes", type=list[str | int] | None, help=CLASSES, **none)
    group.add_argument("--style.levels", type=list[int] | None, help=LEVELS, **none)
    group.add_argument("--style.fill", type=Literal["zero", "sample"], default="zero", help=FILL)
    group.add_argument("--style.keep", type=bool, default=False, help=KEEP)


def read_style(
    options: Any, method: LightningModule, data: SynthesisDataModule
) -> dict[str, Any] | None:
    """A batch's ``style``, the arguments of the method's ``styled``, from the group ``style``.

    None without options, or if the method has loaded the reference itself.
    """
    selects = options.classes is not None or options.levels is not None
    selects = selects or options.reference_mask is not None or options.keep
    if options.reference is None and not selects:
        return None
    if not selects and (take := getattr(method, "take_style", None)) is not None:
        file = Path(options.reference)
        take(read_codes(file) if file.suffix in CODE_SUFFIXES else from_uint8(read_image(file)))
        return None
    if not hasattr(method, "styled"):
        raise DataError(
            f"{type(method).__name__} has no class- and layer-wise codes; leave out "
            "--style.classes, levels, keep and reference_mask."
        )
    style: dict[str, Any] = {"fill": options.fill, "keep": options.keep}
    if (options.reference is None) != (options.reference_mask is None):
        raise DataError(
            "A reference is a photo and its label map; give --style.reference and "
            "--style.reference_mask."
        )
    if options.reference is not None:
        files = Path(options.reference), Path(options.reference_mask)
        style["reference"] = read_reference(*files, data)
    if options.classes is not None:
        style["classes"] = data.label_space.numbers(options.classes)
    if options.levels is not None:
        style["levels"] = list(options.levels)
    return style
