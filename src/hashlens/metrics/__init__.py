"""Retrieval metrics that are exact under ties, and statistics of codes."""

from hashlens.metrics.code_statistics import code_statistics
from hashlens.metrics.evaluation import evaluate, mean_average_precision

__all__ = ["code_statistics", "evaluate", "mean_average_precision"]
