"""Retrieval metrics that are exact under ties, and statistics of codes."""

from hashlens.metrics import discounted_gain, shared_labels  # noqa: F401 - add their metrics to the table
from hashlens.metrics.code_statistics import code_statistics
from hashlens.metrics.evaluation import evaluate, mean_average_precision
from hashlens.metrics.instance_retrieval import GroundTruth, evaluate_instances, read_ground_truth
from hashlens.metrics.judgements import Judgement, judged_precision, read_judgements
from hashlens.metrics.metric import METRICS, Figure, GradedGroups, Groups, Metric, SharedGroups, register
from hashlens.metrics.neighbours import neighbour_recall
from hashlens.metrics.report import Difference, Report

__all__ = [
    "METRICS",
    "Difference",
    "Figure",
    "GradedGroups",
    "GroundTruth",
    "Groups",
    "Judgement",
    "Metric",
    "Report",
    "SharedGroups",
    "code_statistics",
    "evaluate",
    "evaluate_instances",
    "judged_precision",
    "mean_average_precision",
    "neighbour_recall",
    "read_ground_truth",
    "read_judgements",
    "register",
]
