"""Every objective once more, slow and obvious: its formula in loops over plain numbers.

``REFERENCES`` has, for every name in ``OBJECTIVES``, what the objective with its default parameters costs; a new
objective brings its own. ``test_registry.py`` compares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor, nn

from hashlens.objectives import Problem

Codes = Sequence[Sequence[float]]
LabelSets = Sequence[set[int]]


def label_sets_of(targets: Tensor) -> list[set[int]]:
    """The classes of each item, from (B,) classes, −1 for none, or (B, C) multi-hot."""
    if targets.ndim == 1:
        return [{label} if label >= 0 else set() for label in targets.tolist()]
    return [{number for number, mark in enumerate(row) if mark} for row in targets.tolist()]


# Cosine softmax


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    lengths = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(y * y for y in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def cosine_softmax_of_row(
    code: Sequence[float],
    labels: set[int],
    codebook: Sequence[Sequence[int]],
    scale: float,
    margin: float,
    kind: str,
) -> float:
    """Cross-entropy between the uniform distribution over ``labels`` and the softmax of the logits."""
    logits = []
    for number, centre in enumerate(codebook):
        similarity = cosine(code, centre)
        if number in labels:
            similarity = similarity - margin if kind == "cos" else math.cos(math.acos(similarity) + margin)
        logits.append(scale * similarity)
    log_sum = math.log(math.fsum(math.exp(logit) for logit in logits))
    return math.fsum(log_sum - logits[number] for number in labels) / len(labels)


def cosine_softmax(
    codes: Codes, label_sets: LabelSets, codebook: np.ndarray, scale: float, margin: float, kind: str
) -> float:
    rows = [
        cosine_softmax_of_row(code, labels, codebook.tolist(), scale, margin, kind)
        for code, labels in zip(codes, label_sets, strict=True)
        if labels
    ]
    return math.fsum(rows) / len(rows)


def sign(value: float) -> int:
    return 1 if value > 0 else -1


def quantization(codes: Codes, term: str) -> float:
    signs = [[sign(value) for value in code] for code in codes]
    if term == "cosine":
        return math.fsum(1 - cosine(code, ones) for code, ones in zip(codes, signs, strict=True)) / len(codes)
    gaps = [abs(v - s) for code, ones in zip(codes, signs, strict=True) for v, s in zip(code, ones, strict=True)]
    return math.fsum(gap if term == "l1" else gap * gap for gap in gaps) / len(gaps)


# Central similarity


def central_similarity(codes: Codes, centres: Sequence[Sequence[int]], weight: float) -> float:
    """Mean over items and bits of BCE((u + 1)/2, (h + 1)/2), plus weight · mean((|u| − 1)²), with u = tanh x."""
    bits = [
        (-math.log((u + 1) / 2) if h > 0 else -math.log(1 - (u + 1) / 2), (abs(u) - 1) ** 2)
        for code, centre in zip(codes, centres, strict=True)
        for u, h in zip(map(math.tanh, code), centre, strict=True)
    ]
    return sum(b for b, _ in bits) / len(bits) + weight * sum(q for _, q in bits) / len(bits)


def majority(codebook: Sequence[Sequence[int]], labels: set[int], tie_break: Sequence[int]) -> list[int]:
    """Bit by bit, what most centres of a label set have."""
    votes = [sum(codebook[label][bit] for label in labels) for bit in range(len(tie_break))]
    return [sign(vote) if vote else tie for vote, tie in zip(votes, tie_break, strict=True)]


# Classification


def logits(codes: Codes, weights: Codes, biases: Sequence[float]) -> list[list[float]]:
    return [
        [
            math.fsum(w * z for w, z in zip(row, code, strict=True)) + bias
            for row, bias in zip(weights, biases, strict=True)
        ]
        for code in codes
    ]


def softmax_cross_entropy(of_items: Codes, classes: Sequence[int]) -> float:
    """Mean over the items that have a class; −1 is none."""
    losses = [
        math.log(math.fsum(math.exp(logit) for logit in of_item)) - of_item[label]
        for of_item, label in zip(of_items, classes, strict=True)
        if label >= 0
    ]
    return math.fsum(losses) / len(losses)


def binary_cross_entropy(of_items: Codes, label_sets: LabelSets) -> float:
    """Mean over all items and classes."""
    losses = [
        math.log1p(math.exp(-logit if number in labels else logit))
        for of_item, labels in zip(of_items, label_sets, strict=True)
        for number, logit in enumerate(of_item)
    ]
    return math.fsum(losses) / len(losses)


# Distance matching


def distance_matching(codes: Codes, distance: Callable[[int, int], float], gamma: float, rho: float) -> float:
    """``distance`` takes the numbers of two items, each of which has a label."""
    count = len(codes)
    pairs = [(a, b) for a in range(count) for b in range(count)]
    found = {(a, b): math.fsum(abs(x - y) for x, y in zip(codes[a], codes[b], strict=True)) for a, b in pairs}
    tau_codes = math.fsum(found.values()) / count**2
    tau_meaning = math.fsum(distance(a, b) for a, b in pairs) / count**2
    return (
        math.fsum(
            gamma**rho / (gamma + distance(a, b)) ** rho
            * abs(found[a, b] / tau_codes - distance(a, b) / tau_meaning)
            for a, b in pairs
        )
        / count**2
    )  # fmt: skip


def best_matches(one: set[int], other: set[int], class_distance: Sequence[Sequence[float]]) -> float:
    """Distance of two label sets."""
    there = sum(min(class_distance[x][y] for y in other) for x in one) / len(one)
    back = sum(min(class_distance[x][y] for y in one) for x in other) / len(other)
    return (there + back) / 2


# Empirical divergence


def euclidean(a: Sequence[float], b: Sequence[float]) -> float:
    return math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def nearest_neighbour_divergence(codes: Codes, reference: Codes) -> float:
    total = 0.0
    for place, code in enumerate(codes):
        to_reference = min(euclidean(code, other) for other in reference)
        to_codes = min(euclidean(code, other) for number, other in enumerate(codes) if number != place)
        total += math.log(to_reference) - math.log(to_codes)
    return total / len(codes)


# Pairs and triplets


def inner(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def log_one_plus_exp(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def pairs(label_sets: LabelSets) -> list[tuple[int, int, bool]]:
    """The pairs of different items that have a label, and whether the two share one."""
    labelled = [number for number, labels in enumerate(label_sets) if labels]
    return [(i, j, bool(label_sets[i] & label_sets[j])) for i in labelled for j in labelled if i < j]


def away_from_signs(code: Sequence[float]) -> float:
    """‖u − sign u‖²"""
    return math.fsum((value - sign(value)) ** 2 for value in code)


def dpsh(codes: Codes, label_sets: LabelSets, weight: float) -> float:
    found = pairs(label_sets)
    likelihood = 0.0
    for i, j, same in found:
        theta = 0.5 * inner(codes[i], codes[j])
        likelihood += log_one_plus_exp(theta) - same * theta
    rounding = [away_from_signs(code) / len(code) for code, labels in zip(codes, label_sets, strict=True) if labels]
    return likelihood / len(found) + weight * math.fsum(rounding) / len(rounding)


def dsh(codes: Codes, label_sets: LabelSets, margin: float, alpha: float) -> float:
    total = 0.0
    for i, j, same in pairs(label_sets):
        distance = math.fsum((x - y) ** 2 for x, y in zip(codes[i], codes[j], strict=True))
        total += 0.5 * distance if same else 0.5 * max(margin - distance, 0)
        total += alpha * math.fsum(abs(abs(x) - 1) for x in (*codes[i], *codes[j]))
    return total / len(pairs(label_sets))


def hashnet(codes: Codes, label_sets: LabelSets, steepness: float, slope: float) -> float:
    found = pairs(label_sets)
    bits = [[math.tanh(slope * value) for value in code] for code in codes]
    alikes = sum(same for *_, same in found)
    total = 0.0
    for i, j, same in found:
        weight = len(found) / (alikes if same else len(found) - alikes)
        if same:
            weight *= len(label_sets[i] & label_sets[j]) / len(label_sets[i] | label_sets[j])
        logit = steepness * inner(bits[i], bits[j])
        total += weight * (log_one_plus_exp(logit) - same * logit)
    return total / len(found)


def dtsh(codes: Codes, label_sets: LabelSets, margin: float, weight: float) -> float:
    labelled = [number for number, labels in enumerate(label_sets) if labels]
    likelihood, count = 0.0, 0
    for q in labelled:
        for p in labelled:
            for n in labelled:
                if p != q and label_sets[q] & label_sets[p] and not label_sets[q] & label_sets[n]:
                    gap = 0.5 * inner(codes[q], codes[p]) - 0.5 * inner(codes[q], codes[n]) - margin
                    likelihood -= gap - log_one_plus_exp(gap)
                    count += 1
    return (likelihood + weight * math.fsum(away_from_signs(codes[number]) for number in labelled)) / count


# Classifiers over bits


def class_loss(of_items: Codes, targets: Tensor) -> float:
    """Softmax cross-entropy of classes, binary cross-entropy of label sets."""
    if targets.ndim == 1:
        return softmax_cross_entropy(of_items, targets.tolist())
    labelled = [(row, labels) for row, labels in zip(of_items, label_sets_of(targets), strict=True) if labels]
    return binary_cross_entropy([row for row, _ in labelled], [labels for _, labels in labelled])


def fair_divergence(probabilities: Sequence[float]) -> float:
    return math.fsum(q * math.log(q / 0.5) for p in probabilities for q in (p, 1 - p))


def polarization(code: Sequence[float], labels: set[int], codebook: Codes, margin: float) -> float:
    return math.fsum(
        max(margin - v * h, 0.0) for label in labels for v, h in zip(code, codebook[label], strict=True)
    )


def balanced_binary_cross_entropy(of_items: Codes, label_sets: LabelSets) -> float:
    total, weights = 0.0, 0.0
    for of_item, labels in zip(of_items, label_sets, strict=True):
        for number, logit in enumerate(of_item):
            right = (1 / (1 + math.exp(-logit)) >= 0.7) == (number in labels)
            weight = 1 / len(of_item) if right and number not in labels else 1.0
            total += weight * math.log1p(math.exp(-logit if number in labels else logit))
            weights += weight
    return total / weights


# By name, with default parameters. What an objective has learnt or drawn is taken from it.

Reference = Callable[[Tensor, Tensor, Problem, nn.Module], float]


def _cosine_softmax(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    assert problem.codebook is not None
    scale = math.sqrt(problem.bits)
    return cosine_softmax(codes.tolist(), label_sets_of(targets), problem.codebook, scale, 0.2, "cos")


def _central_similarity(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    assert problem.codebook is not None
    codebook, ties = problem.codebook.tolist(), objective.tie_break.tolist()  # type: ignore[union-attr,operator]
    centres = [majority(codebook, labels, ties) for labels in label_sets_of(targets)]
    labelled = [number for number, labels in enumerate(label_sets_of(targets)) if labels]
    rows = codes.tolist()
    return central_similarity([rows[n] for n in labelled], [centres[n] for n in labelled], 1e-4)


def _classification(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    linear = objective.linear
    found = logits(codes.tolist(), linear.weight.tolist(), linear.bias.tolist())  # type: ignore[union-attr,operator]
    return class_loss(found, targets)


def _distance_matching(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    assert problem.class_distance is not None
    distances, sets = problem.class_distance.tolist(), label_sets_of(targets)
    labelled = [number for number, labels in enumerate(sets) if labels]
    rows = codes.tolist()

    def distance(a: int, b: int) -> float:
        return best_matches(sets[labelled[a]], sets[labelled[b]], distances)

    return distance_matching([rows[number] for number in labelled], distance, 0.1, 2.0)


def _empirical_divergence(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    sample = np.random.default_rng((problem.seed, 0)).beta(0.1, 0.1, codes.shape)
    return nearest_neighbour_divergence(codes.tolist(), sample.tolist())


def _learned_cosine_softmax(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    centres = np.asarray(objective.centres.tolist())  # type: ignore[union-attr,operator]
    return cosine_softmax(codes.tolist(), label_sets_of(targets), centres, math.sqrt(problem.bits), 0.2, "cos")


def _greedyhash(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    weights = objective.linear.weight.tolist()  # type: ignore[union-attr,operator]
    signs = [[sign(value) for value in code] for code in codes.tolist()]
    labelled = [code for code, labels in zip(codes.tolist(), label_sets_of(targets), strict=True) if labels]
    penalties = [abs(abs(value) - 1) ** 3 for code in labelled for value in code]
    found = logits(signs, weights, [0.0] * problem.classes)
    return class_loss(found, targets) + 0.1 * math.fsum(penalties) / len(penalties)


def _jmlh(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    linear = objective.linear
    thresholds = np.random.default_rng((problem.seed, 0)).random(codes.shape)
    bits = [
        [float(p > t) for p, t in zip(*rows, strict=True)] for rows in zip(codes.tolist(), thresholds, strict=True)
    ]
    found = logits(bits, linear.weight.tolist(), linear.bias.tolist())  # type: ignore[union-attr,operator]
    labelled = [code for code, labels in zip(codes.tolist(), label_sets_of(targets), strict=True) if labels]
    divergences = [fair_divergence(code) for code in labelled]
    return class_loss(found, targets) + 0.1 * math.fsum(divergences) / len(divergences)


def correlation_of_rows(weight: Codes) -> float:
    products = [
        math.fsum(a * b for a, b in zip(row, other, strict=True)) - (place == number)
        for place, row in enumerate(weight)
        for number, other in enumerate(weight)
    ]
    return math.fsum(product * product for product in products) / len(products)


def sdhc(codes: Codes, of_items: Codes, targets: Tensor, quantization: float, variance: float) -> float:
    labelled = [code for code, labels in zip(codes, label_sets_of(targets), strict=True) if labels]
    rounding = math.fsum(away_from_signs(code) / len(code) for code in labelled) / len(labelled)
    trace = math.fsum(value * value for code in labelled for value in code) / len(codes[0])
    return class_loss(of_items, targets) + quantization * rounding - variance * trace / 2


def _sdhc(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    linear = objective.linear
    found = logits(codes.tolist(), linear.weight.tolist(), linear.bias.tolist())  # type: ignore[union-attr,operator]
    return sdhc(codes.tolist(), found, targets, 0.001, 0.001)


def _dpn(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    assert problem.codebook is not None
    items = [one for one in zip(codes.tolist(), label_sets_of(targets), strict=True) if one[1]]
    return math.fsum(polarization(*one, problem.codebook.tolist(), 1.0) for one in items) / len(items)


def _dpsh(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    return dpsh(codes.tolist(), label_sets_of(targets), 0.1)


def _dsh(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    return dsh(codes.tolist(), label_sets_of(targets), 2 * problem.bits, 0.01)


def _hashnet(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    return hashnet(codes.tolist(), label_sets_of(targets), 10 / problem.bits, 1.0)


def _dtsh(codes: Tensor, targets: Tensor, problem: Problem, objective: nn.Module) -> float:
    return dtsh(codes.tolist(), label_sets_of(targets), problem.bits / 2, 100.0)


REFERENCES: dict[str, Reference] = {
    "central-similarity": _central_similarity,
    "classification": _classification,
    "cosine-softmax": _cosine_softmax,
    "distance-matching": _distance_matching,
    "dpn": _dpn,
    "dpsh": _dpsh,
    "dsh": _dsh,
    "dtsh": _dtsh,
    "empirical-divergence": _empirical_divergence,
    "greedyhash": _greedyhash,
    "hashnet": _hashnet,
    "jmlh": _jmlh,
    "learned-cosine-softmax": _learned_cosine_softmax,
    "sdhc": _sdhc,
}
