"""Counts of database items by distance and relevance: all that the ranking metrics need.

A matrix of all distances would not fit in memory; these counts take (K + 1) numbers per query.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.distances import (
    BLOCK,
    available_threads,
    compiled,
    distances_in_block,
    even_slices,
    run_in_threads,
)
from hashlens.codes.packing import to_words
from hashlens.metrics.relevance import Relevance, SameClass, SharedLabel

TASKS_PER_THREAD = 4


class Comparison:
    """Queries and a database laid out for counting distances against relevance.

    Attributes:
        queries, size, bits: number of queries, number of database items, code length.
    """

    def __init__(
        self,
        query_codes: NDArray[np.uint8],
        database_codes: NDArray[np.uint8],
        bits: int,
        relevance: Relevance,
    ) -> None:
        self.queries, self.size, self.bits = len(query_codes), len(database_codes), bits
        self._relevance = relevance
        self._query_words = np.ascontiguousarray(to_words(query_codes).T)
        if isinstance(relevance, SameClass):
            database_codes = database_codes[relevance.order]
        self._database_words = to_words(database_codes)

    def histograms(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Items and relevant items at each distance 0 … K, for queries ``first`` … ``last`` − 1.

        Returns:
            totals and relevants, each (last − first, K + 1) int64.
        """
        totals = np.zeros((last - first, self.bits + 1), np.int64)
        relevants = np.zeros_like(totals)

        tasks = even_slices(last - first, TASKS_PER_THREAD * available_threads())

        def count(start: int, stop: int) -> None:
            here = slice(start, stop)
            out = totals[start - first : stop - first], relevants[start - first : stop - first]
            if isinstance(self._relevance, SameClass):
                starts, stops = self._relevance.starts[here], self._relevance.stops[here]
                _count_same_class(self._database_words, self._query_words[here], starts, stops, *out)
            else:
                assert isinstance(self._relevance, SharedLabel)
                query_masks = self._relevance.query_masks[here]
                database_masks = self._relevance.database_masks
                _count_shared_label(
                    self._database_words, self._query_words[here], database_masks, query_masks, *out
                )

        run_in_threads(count, [(first + start, first + stop) for start, stop in tasks])
        return totals, relevants


@compiled
def _count_same_class(words, queries, starts, stops, totals, relevants):
    for q in range(len(queries)):
        add_counts(words, queries[q], starts[q], stops[q], relevants[q])
        totals[q] += relevants[q]
        add_counts(words, queries[q], 0, starts[q], totals[q])
        add_counts(words, queries[q], stops[q], words.shape[1], totals[q])


@compiled
def add_counts(words, query, start, stop, counts):
    """Add to ``counts`` (K + 1,) how many of codes ``start`` … ``stop`` − 1 are at each distance."""
    block = np.empty(BLOCK, np.int16)
    # Neighbouring items often have equal distances; four counters in turn do not wait for each other.
    lanes = np.zeros((4, len(counts)), np.int64)
    for block_start in range(start, stop, BLOCK):
        block_stop = min(block_start + BLOCK, stop)
        distances_in_block(words, query, block_start, block_stop, block)
        size = block_stop - block_start
        whole = size - size % 4
        for i in range(0, whole, 4):
            lanes[0, block[i]] += 1
            lanes[1, block[i + 1]] += 1
            lanes[2, block[i + 2]] += 1
            lanes[3, block[i + 3]] += 1
        for i in range(whole, size):
            lanes[0, block[i]] += 1
    for level in range(len(counts)):
        counts[level] += lanes[0, level] + lanes[1, level] + lanes[2, level] + lanes[3, level]


@compiled
def _count_shared_label(words, queries, database_masks, query_masks, totals, relevants):
    count, width = database_masks.shape
    block = np.empty(BLOCK, np.int16)
    for q in range(len(queries)):
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            distances_in_block(words, queries[q], start, stop, block)
            for i in range(stop - start):
                shared = False
                for m in range(width):
                    shared |= (database_masks[start + i, m] & query_masks[q, m]) != 0
                totals[q, block[i]] += 1
                relevants[q, block[i]] += shared
