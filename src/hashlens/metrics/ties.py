"""The one owner of tie-breaking: exact scores of rankings that are only known up to ties.

A query sees its database as groups of equal distance. Group g holds n_g items, r_g of them relevant; N_g and
R_g count the items and the relevant items before it. Every order within a group is equally likely. All
functions here work on these counts and never on a ranking.
"""

from __future__ import annotations

import math

from hashlens.compute.kernels import compiled

LEAST_START = 64  # from which on the expansion of the digamma function is exact to a double
FEW_TERMS = 12  # are added as fast as they are computed at once
NEGLIGIBLE = 1e-20  # relative to the most likely outcome


@compiled
def reciprocal_sums(before, count):
    """Σ 1/(before + t) and Σ (t − 1)/(before + t) for t = 1 … count, in constant time.

    Few terms, and those with small denominators, are added directly; the rest is a difference of digamma
    functions, by the expansion ψ(x + 1/2) = ln x + 1/(24x²) − 7/(960x⁴) + 31/(8064x⁶) − …, whose next term is
    below 2e-17 here.

    Example:
        >>> reciprocal_sums(1, 2)  # 1/2 + 1/3, and 0/2 + 1/3
        (0.8333333333333333, 0.3333333333333333)
    """
    reciprocals = 0.0
    weighted = 0.0
    direct = count if count <= FEW_TERMS else min(count, max(0, int(LEAST_START - before)))
    for t in range(1, direct + 1):
        term = 1.0 / (before + t)
        reciprocals += term
        weighted += (t - 1) * term
    rest = count - direct
    if rest > 0:
        start = before + direct + 0.5
        tail = math.log1p(rest / start) + _digamma_correction(start + rest) - _digamma_correction(start)
        reciprocals += tail
        weighted += rest - (before + 1) * tail
    return reciprocals, weighted


@compiled
def _digamma_correction(x):
    inverse = 1.0 / (x * x)
    return inverse * (1 / 24 - inverse * (7 / 960 - inverse * (31 / 8064)))


@compiled
def consecutive_hits(hits_before, rank_before, count):
    """Σ rel·P over ``count`` relevant items in a row: Σ (hits_before + j)/(rank_before + j), j = 1 … count.

    Example:
        >>> consecutive_hits(0, 1, 2)  # hits at ranks 2 and 3: 1/2 + 2/3
        1.1666666666666665
    """
    reciprocals, weighted = reciprocal_sums(rank_before, count)
    return (hits_before + 1) * reciprocals + weighted


@compiled
def expected_group_sum(rank_before, hits_before, size, relevant, first=-1):
    """Expected Σ rel(i)·P(i) over one group in random order (McSherry and Najork, ECIR 2008).

    Σ_{t=1..n} (r/n)·(R + 1 + (t − 1)(r − 1)/(n − 1))/(N + t), or up to t = ``first`` where that is given.

    Example:
        One of two items is relevant: it comes first, at precision 1, or second, at precision 1/2.

        >>> expected_group_sum(rank_before=0, hits_before=0, size=2, relevant=1)
        0.75
    """
    if relevant == 0:
        return 0.0
    reciprocals, weighted = reciprocal_sums(rank_before, size if first < 0 else first)
    total = (hits_before + 1) * reciprocals
    if size > 1:
        total += (relevant - 1) / (size - 1) * weighted
    return relevant / size * total


@compiled
def expected_precision_sum(totals, relevants, k):
    """Expected Σ_{i ≤ k} rel(i)·P(i): what AP@k divides, by whichever number.

    It is linear in the order of a group, so where k cuts one its first ranks count as in the whole.

    Example:
        >>> import numpy as np
        >>> expected_precision_sum(np.array([0, 2]), np.array([0, 1]), k=2)
        0.75
    """
    rank = 0
    hits = 0
    total = 0.0
    for level in range(len(totals)):
        size = totals[level]
        relevant = relevants[level]
        inside = min(size, k - rank)
        if inside > 0:
            total += expected_group_sum(rank, hits, size, relevant, inside)
        rank += size
        hits += relevant
    return total


@compiled
def average_precision(totals, relevants, k):
    """AP@k of one query: its expectation over random orders within ties, and its least and greatest value.

    AP@k = Σ_{i ≤ k} rel(i)·P(i) / (number of relevant items among the first k), 0 where there is none: the
    convention of HashNet, CSQ, OrthoHash and SHC. Where k cuts a group, m of its n items are in. The number
    of relevant ones among them is hypergeometric, and both the numerator and the denominator depend on it.

    Args:
        totals, relevants: (L,) int64, items and relevant items at each distance, nearest first.
        k: depth of the ranking, at least 1; at or beyond the number of items the whole ranking counts.

    Returns:
        expectation, worst, best.

    Example:
        >>> import numpy as np
        >>> average_precision(np.array([0, 2]), np.array([0, 1]), k=2)
        (0.75, 0.5, 1.0)
    """
    rank = 0
    hits = 0
    expected_sum = 0.0
    worst_sum = 0.0
    best_sum = 0.0
    for level in range(len(totals)):
        size = totals[level]
        relevant = relevants[level]
        if size == 0:
            continue
        inside = k - rank
        if inside < size:
            if inside > 0:
                return _cut_average_precision(rank, hits, size, relevant, inside, expected_sum, worst_sum, best_sum)
            break
        if relevant > 0:
            expected_sum += expected_group_sum(rank, hits, size, relevant)
            worst_sum += consecutive_hits(hits, rank + size - relevant, relevant)
            best_sum += consecutive_hits(hits, rank, relevant)
        rank += size
        hits += relevant
    if hits == 0:
        return 0.0, 0.0, 0.0
    return expected_sum / hits, worst_sum / hits, best_sum / hits


@compiled
def _cut_expectation(rank, hits, hits_ahead, size, relevant, inside, expected_sum):
    """Expected (Σ rel·P up to the cut) / (hits up to the cut), where a cut lets ``inside`` items of a group in.

    hits_ahead: what the hits before count in precision, which is their number unless hits have weights.
    """
    fewest = max(0, inside - (size - relevant))
    most = min(inside, relevant)

    # Hypergeometric weights relative to the most likely number of relevant items, outwards from it.
    reciprocals, weighted = reciprocal_sums(rank, inside)
    mode = min(most, max(fewest, (inside + 1) * (relevant + 1) // (size + 2)))
    weights = 0.0
    total = 0.0
    for direction in (1, -1):
        drawn = mode
        weight = 1.0
        if direction < 0:  # the mode itself was counted on the way up
            weight = mode * (size - relevant - inside + mode) / ((relevant - mode + 1) * (inside - mode + 1))
            drawn = mode - 1
        while fewest <= drawn <= most and weight > NEGLIGIBLE:
            if hits + drawn > 0:
                inner = 0.0
                if drawn > 0:
                    inner = (hits_ahead + 1) * reciprocals
                    if inside > 1:
                        inner += (drawn - 1) / (inside - 1) * weighted
                    inner *= drawn / inside
                total += weight * (expected_sum + inner) / (hits + drawn)
            weights += weight
            if direction > 0:
                weight *= (relevant - drawn) * (inside - drawn)
                weight /= (drawn + 1) * (size - relevant - inside + drawn + 1)
            else:
                weight *= drawn * (size - relevant - inside + drawn)
                weight /= (relevant - drawn + 1) * (inside - drawn + 1)
            drawn += direction
    return total / weights


@compiled
def _cut_average_precision(rank, hits, size, relevant, inside, expected_sum, worst_sum, best_sum):
    expected = _cut_expectation(rank, hits, hits, size, relevant, inside, expected_sum)
    fewest = max(0, inside - (size - relevant))
    most = min(inside, relevant)

    # A late hit can lower AP@k, since it also counts below the line: so try every number of hits.
    best = 0.0
    worst = 1.0
    first_hits = consecutive_hits(hits, rank, fewest)
    last_hits = consecutive_hits(hits, rank + inside - fewest, fewest)
    last_reciprocals, _ = reciprocal_sums(rank + inside - fewest, fewest)
    for drawn in range(fewest, most + 1):
        if hits + drawn == 0:
            worst = 0.0
        else:
            best = max(best, (best_sum + first_hits) / (hits + drawn))
            worst = min(worst, (worst_sum + last_hits) / (hits + drawn))
        if drawn < most:
            first_hits += (hits + drawn + 1) / (rank + drawn + 1)
            # With one hit more, those at the end each count one more before them, and a new one leads them.
            last_hits += last_reciprocals + (hits + 1) / (rank + inside - drawn)
            last_reciprocals += 1.0 / (rank + inside - drawn)
    return expected, worst, best


@compiled
def weighted_average_precision(totals, relevants, gains, k):
    """Expected WAP@k of one query: Σ_{i ≤ k} rel(i)·ACG@i / (relevant items among the first k), 0 without one.

    ACG@i is the mean gain of the first i items. A relevant item of a group gains on average the same wherever it
    stands, so this is average precision in which the hits of a group count as much as they gain on average.

    Args:
        totals, relevants: (L,) int64, items and relevant items at each distance, nearest first.
        gains: (L,) float64, sums of what the relevant ones gain, each more than 0.
        k: depth of the ranking, at least 1.

    Example:
        >>> import numpy as np
        >>> weighted_average_precision(np.array([1, 1]), np.array([1, 1]), np.array([2.0, 1.0]), k=2)  # 2/1, 3/2
        1.75
    """
    rank = 0
    hits = 0
    gain = 0.0
    total = 0.0
    for level in range(len(totals)):
        size = totals[level]
        relevant = relevants[level]
        inside = k - rank
        if inside <= 0:
            break
        if relevant > 0:
            mean = gains[level] / relevant
            if inside < size:
                return mean * _cut_expectation(rank, hits, gain / mean, size, relevant, inside, total / mean)
            total += mean * expected_group_sum(rank, gain / mean, size, relevant)
        rank += size
        hits += relevant
        gain += gains[level]
    return total / hits if hits else 0.0


@compiled
def expected_hits(totals, relevants, k):
    """Expected number of relevant items among the first k, and how many items those are (min(k, N)).

    Example:
        >>> import numpy as np
        >>> expected_hits(np.array([1, 2]), np.array([0, 1]), k=2)
        (0.5, 2)
    """
    rank = 0
    hits = 0.0
    for level in range(len(totals)):
        size = totals[level]
        if size == 0:
            continue
        inside = min(size, k - rank)
        if inside <= 0:
            break
        hits += relevants[level] * (inside / size)
        rank += inside
    return hits, rank


@compiled
def normalized_discounted_gain(totals, relevants, k, discounts):
    """Expected NDCG@k with binary gains; 0 where nothing is relevant.

    discounts: (≥ min(k, N) + 1,) float64 with discounts[i] = Σ_{j ≤ i} 1/log2(j + 1).

    Example:
        >>> import numpy as np
        >>> discounts = np.array([0, 1, 1 + 1 / np.log2(3)])
        >>> normalized_discounted_gain(np.array([1, 1]), np.array([1, 0]), k=2, discounts=discounts)
        1.0
    """
    rank = 0
    gain = 0.0
    relevant = 0
    for level in range(len(totals)):
        size = totals[level]
        relevant += relevants[level]
        inside = min(size, k - rank)
        if inside > 0:
            gain += relevants[level] / size * (discounts[rank + inside] - discounts[rank])
            rank += inside
    if relevant == 0:
        return 0.0
    return gain / discounts[min(relevant, rank)]


@compiled
def trapezoid_average_precision(totals, relevants):
    """Expected area under precision over recall by trapezoids, as in instance retrieval; 0 without a relevant item.

    A hit at rank p with h hits before it adds (h/(p − 1) + (h + 1)/p) / 2R, where h/(p − 1) is 1 at the first rank.

    Example:
        >>> import numpy as np
        >>> trapezoid_average_precision(np.array([1, 1]), np.array([0, 1]))  # (0/1 + 1/2) / 2
        0.25
    """
    rank = 0
    hits = 0
    total = 0.0
    for level in range(len(totals)):
        size = totals[level]
        relevant = relevants[level]
        if relevant > 0:
            total += expected_group_sum(rank, hits, size, relevant)
            growth = (relevant - 1) / (size - 1) if size > 1 else 0.0  # of expected hits before, rank by rank
            if rank == 0:
                before = 1 + (size - 1) * growth
            else:
                reciprocals, weighted = reciprocal_sums(rank - 1, size)
                before = hits * reciprocals + growth * weighted
            total += relevant / size * before
        rank += size
        hits += relevant
    return total / (2 * hits) if hits else 0.0


@compiled
def precision_to_last(totals, relevants, k):
    """Expected precision among the first min(k, p) items, p being the rank of the last relevant one; 0 without one.

    Only the group that holds the last one matters beyond what :func:`expected_hits` gives. Of its n items r are
    relevant; the last of these stands at place l with probability C(l − 1, r − 1) / C(n, r).

    Example:
        >>> import numpy as np
        >>> precision_to_last(np.array([2, 5]), np.array([1, 0]), k=5)  # 1 of 1, or 1 of 2
        0.75
    """
    every = 0
    last = -1
    for level in range(len(totals)):
        every += relevants[level]
        if relevants[level] > 0:
            last = level
    if last < 0:
        return 0.0
    before = 0
    for level in range(last):
        before += totals[level]
    size = totals[last]
    relevant = relevants[last]
    early = 0.0  # the probability that all stand before place k
    found = 0.0
    weight = relevant / size
    for place in range(size, relevant - 1, -1):
        if before + place < k:
            early += weight
            found += weight * every / (before + place)
        if place > relevant:
            weight *= (place - relevant) / (place - 1)
    hits, _ = expected_hits(totals, relevants, k)
    return found + (hits - early * every) / k
