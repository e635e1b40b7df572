"""Atomic writing of files, and reading of what may be damaged or not what its name says."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from semsynth.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

CHECKSUM = "sha256"

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk, quota or file size limit that is used up."""


class WriteError(UserError, OSError):
    """The disk is full; the message names the file, of which nothing is left."""


@contextmanager
def replaced(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside a file, renamed to it when complete.

    Each writer has its own. On failure nothing is left behind and the old file stays. Serialise to
    memory, or write to a file opened by Python: other writers do not tell that the disk is full.

    Args:
        path: The file; missing directories are created.
        durable: Wait until content and name are on the disk, to survive a power cut.

    Raises:
        WriteError: The disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _wait_for_disk(temporary)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, WriteError) and (fault := out_of_space(error)) is not None:
            message = f"{path} could not be written: {fault.strerror}. Free disk space."
            raise WriteError(message) from error
        raise
    if durable:
        _wait_for_disk(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replaced(path) as temporary:
        temporary.write_text(text)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file atomically."""
    with replaced(path) as temporary:
        temporary.write_bytes(content)


def write_tensors(
    path: Path, tensors: "Mapping[str, Tensor]", notes: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write finite tensors and notes as safetensors, atomically, with their checksum."""
    from safetensors.torch import save

    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"{path} was not written: {name} has NaN or infinite values.")
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(kept, {**notes, CHECKSUM: checksum(kept, notes)}))


def read_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Tensors and notes of a safetensors file.

    Raises:
        OSError, SafetensorError, ValueError: It is missing, damaged, or not what was written; files
            of others have no checksum.
    """
    from safetensors import safe_open

    if not path.is_file():  # a FIFO would wait forever
        raise FileNotFoundError(f"There is no file {path}.")
    with safe_open(path, "pt") as file:
        notes = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    stored = notes.pop(CHECKSUM, None)
    if stored is not None and stored != checksum(tensors, notes):
        raise ValueError("its checksum differs")
    return tensors, notes


def checksum(tensors: "Mapping[str, Tensor]", notes: Mapping[str, str]) -> str:
    """SHA-256 over notes, and names, types, shapes and bytes of tensors."""
    import torch

    digest = hashlib.sha256(json.dumps(dict(notes), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return _parsed(path, "JSON", json.loads)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file."""
    return _parsed(path, "YAML", yaml.safe_load)


def _parsed(path: Path, kind: str, parse: Callable[[str], Any]) -> Any:
    if not path.is_file():  # a FIFO would wait forever
        raise UserError(f"{path} cannot be read: there is no such file.")
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except RecursionError as error:
        raise UserError(f"{path} is not valid {kind}: it is nested too deeply.") from error
    except Exception as error:  # what YAML's constructors raise is not documented
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid {kind}: {reason}.") from error


def out_of_space(error: BaseException | None) -> OSError | None:
    """The error of a full disk behind an error; torch raises a ``RuntimeError`` after it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def link(file: Path, target: Path) -> None:
    """Link a file under another name, or copy it to another disk, atomically."""
    with replaced(target) as temporary:
        try:
            os.link(file.resolve(), temporary)
        except OSError:  # another disk, or one without links
            shutil.copyfile(file, temporary)


def impostor(path: Path) -> str | None:
    """What stands in place of an image or a checkpoint, with a remedy; None if nothing known."""
    with path.open("rb") as opened:
        head = opened.read(512)
    if not head:
        return "the file is empty"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself; run git lfs pull"
    if any(mark in head.lower() for mark in (b"<html", b"<!doctype html")):
        return "a web page, such as a login or an error; download the file again"
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "truncated, as a download that broke off; download it again"
    return None


def _wait_for_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
