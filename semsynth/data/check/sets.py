"""Checks of samples together, for ``semsynth data``, training and prediction."""

import logging
from collections.abc import Sequence

import numpy as np

from semsynth.data.check.scan import UNREADABLE, cache_directory, digest_of, problems_of, scan
from semsynth.data.errors import DataError, describe_problems
from semsynth.data.pairs import Pair

logger = logging.getLogger(__name__)


def check_pairs(pairs: Sequence[Pair], lookup: np.ndarray, skip_unreadable: bool = False) -> None:
    """Scan the files of some samples before use; good ones are cached.

    With ``skip_unreadable``, unreadable files only raise a warning that lists them.
    """
    marker = cache_directory() / "checked" / digest_of(pairs, lookup)
    if marker.exists():
        return
    if problems := problems_of(scan(pairs, lookup)):
        text = describe_problems(problems, len(pairs))
        if not skip_unreadable or any(p.kind not in UNREADABLE for p in problems):
            raise DataError(text)
        logger.warning("%s\nThey will be skipped.", text)
        return
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
