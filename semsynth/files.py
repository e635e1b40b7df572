"""Atomic writing of files, and what a file is if not what its name says."""

import os
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside a file, renamed to it when complete.

    Each writer has its own. On failure nothing is left behind and the old file stays.

    Args:
        path: The file; missing directories are created.
        durable: Wait until content and name are on the disk, to survive a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        if durable:
            _wait_for_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
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
