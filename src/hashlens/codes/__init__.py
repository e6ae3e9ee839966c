"""Binary codes: how they are stored and how their Hamming distances are counted."""

from hashlens.codes.packing import as_packed, binarize, pack, unpack

__all__ = ["as_packed", "binarize", "pack", "unpack"]
