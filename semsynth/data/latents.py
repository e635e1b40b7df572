"""Stored latent codes of photos."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from semsynth.data.errors import DataError
from semsynth.files import read_tensors

CODE_SUFFIXES = (".safetensors", ".pt")


def read_codes(file: Path) -> Tensor:
    """W+ code (num_ws, w_dim), float32, from ``codes`` of a ``.pt`` or ``.safetensors`` file."""
    try:
        if file.suffix == ".safetensors":
            stored, _ = read_tensors(file)
        else:
            stored = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # its message advises to execute the file
        raise DataError(
            f"{file} is damaged or contains non-tensors; store only 'codes'."
        ) from error
    except Exception as error:  # what a damaged archive raises is not documented
        raise DataError(f"{file} cannot be read ({error}); store the codes again.") from error
    codes = stored.get("codes") if isinstance(stored, dict) else None
    if not isinstance(codes, Tensor) or codes.ndim != 3 or len(codes) != 1:
        found = tuple(codes.shape) if isinstance(codes, Tensor) else "no such tensor"
        raise DataError(
            f"{file} must contain 'codes' (1, num_ws, w_dim), got {found}; store the codes again."
        )
    return codes[0].float()
