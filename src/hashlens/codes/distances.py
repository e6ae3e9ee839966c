"""Hamming distances of a few codes.

Codes are in the (W, N) layout of :func:`hashlens.codes.packing.to_words`, so that the compiler turns the loops over
codes into vector instructions. Many codes are compared by :mod:`hashlens.codes.tiles`.
"""

from __future__ import annotations

from hashlens.compute.kernels import compiled, popcount


@compiled
def distances_in_block(words, query, start, stop, out):
    """Write the distances of codes ``start`` … ``stop`` − 1 to the front of ``out`` (int16).

    words: (W, N) uint64; query: (W,) uint64.
    """
    width = words.shape[0]
    size = stop - start
    first = words[0, start:stop]
    part = query[0]
    for i in range(size):
        out[i] = popcount(first[i] ^ part)
    for w in range(1, width):
        row = words[w, start:stop]
        part = query[w]
        for i in range(size):
            out[i] += popcount(row[i] ^ part)
