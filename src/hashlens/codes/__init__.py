"""Binary codes: how they are stored and how their Hamming distances are counted."""

from hashlens.codes.details import as_details, detail_cosines, detail_order
from hashlens.codes.packing import as_packed, binarize, pack, unpack

__all__ = ["as_details", "as_packed", "binarize", "detail_cosines", "detail_order", "pack", "unpack"]
