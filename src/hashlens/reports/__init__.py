"""Evaluations for people: metrics, plots and a page with results to look at."""

from hashlens.reports.evaluation import write_report

__all__ = ["write_report"]
