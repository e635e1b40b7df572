"""Annotations of labelling tools, converted to a ``Folder`` with instance maps."""

from semsynth.data.annotations.convert import FORMATS, convert

__all__ = ["FORMATS", "convert"]
