"""Evaluations for people: metrics, plots and a page with results to look at."""

from hashlens.reports.comparing import compare
from hashlens.reports.evaluation import write_report
from hashlens.reports.instance_retrieval import write_instances

__all__ = ["compare", "write_instances", "write_report"]
