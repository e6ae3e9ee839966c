"""Evaluations for people: metrics, plots and a page with results to look at."""

from hashlens.reports.comparing import compare
from hashlens.reports.differences import write_differences
from hashlens.reports.evaluation import write_report
from hashlens.reports.instance_retrieval import write_instances

__all__ = ["compare", "write_differences", "write_instances", "write_report"]
