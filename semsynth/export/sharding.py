"""Which part of a job a process does: as it was told, or as torchrun and SLURM number it."""

import os


def read_shard(text: str | None) -> tuple[int, int]:
    """Number of a part, from 0, and of all parts.

    Args:
        text: ``I/N``; if not given, ``RANK`` and ``WORLD_SIZE`` of the environment, else 0 of 1.

    Raises:
        ValueError: It is no such thing.
    """
    if text is None:
        text = f"{os.environ.get('RANK', 0)}/{os.environ.get('WORLD_SIZE', 1)}"
    try:
        part, parts = map(int, text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 0 <= part < parts:
        raise ValueError(f"--shard must be I/N with I from 0 to N - 1, got {text!r}.")
    return part, parts
