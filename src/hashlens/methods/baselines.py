"""Published losses that others are compared with, each with the hash layer that its paper has.

Their papers train networks that do not run here, or leave settings open, so that none can be trained by its paper.
"""

from __future__ import annotations

from hashlens.methods.combination import Combination

DPSH = Combination(
    objective="dpsh",
    hash_layer="linear",
    published="DPSH's paper trains the network CNN-F, at rates that it does not give; train without its settings.",
)
DSH = Combination(
    objective="dsh",
    hash_layer="linear",
    published="DSH's paper trains a small network of its own from scratch; train without its settings.",
)
HASHNET = Combination(
    objective="hashnet",
    hash_layer="linear",
    published="HashNet's paper trains AlexNet by 10,000 steps of stochastic gradient descent, on pairs of batches, "
    "which is not offered here; train without its settings.",
)
DTSH = Combination(
    objective="dtsh",
    hash_layer="linear",
    published="DTSH's paper trains the network VGG-F, which does not run here; train without its settings.",
)
GREEDYHASH = Combination(
    objective="greedyhash",
    hash_layer="linear",
    published="GreedyHash's paper trains by stochastic gradient descent with momentum, which is not offered here; "
    "train without its settings.",
)
JMLH = Combination(
    objective="jmlh",
    hash_layer="sigmoid",
    published="We do not know all training settings of JMLH's paper; train without them.",
)
SDHC = Combination(
    objective="sdhc",
    hash_layer="tanh",
    published="SDH-C is known from a program, whose training settings belong to no paper of its own; train without "
    "them.",
)
DPN = Combination(
    objective="dpn",
    hash_layer="linear",
    centres="bernoulli",
    published="We do not know all training settings of DPN's paper; train without them.",
)
CROSS_ENTROPY = Combination(objective="classification", hash_layer="linear")
CROSS_ENTROPY_BATCH_NORM = Combination(objective="classification", hash_layer="batch-norm")
CROSS_ENTROPY_BI_HALF = Combination(objective="classification", hash_layer="bi-half")
