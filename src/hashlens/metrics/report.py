"""What an evaluation found."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput

METRICS_FILE, QUERIES_FILE = "metrics.json", "queries.csv"  # of a report that was written down
SAME = {"query_digest": "queries", "database_digest": "database"}  # of reports that can be compared
RESAMPLES_AT_ONCE = 1 << 22  # drawn queries


@dataclass(frozen=True)
class Difference:
    """How much better one report is than another in one figure.

    Attributes:
        mean: of the differences of the queries.
        low, high: ends of the interval that holds it with the confidence asked for.
        p_value: by the bootstrap, how often a difference at least as large in size would come about if there were
            none.
        permutation_p_value: the same by the permutation test.

    Example:
        >>> found = Difference(mean=0.02, low=-0.01, high=0.05, p_value=0.21, permutation_p_value=0.2)
        >>> found.low < 0  # it may be that there is none
        True
    """

    mean: float
    low: float
    high: float
    p_value: float
    permutation_p_value: float


class Report(dict[str, Any]):
    """Figures by name, and what else :func:`hashlens.metrics.evaluate` tells: a dictionary that JSON can hold.

    Attributes:
        per_query: (Q,) float64 for every figure, of which the figure is the mean.

    Example:
        >>> import hashlens as hl
        >>> codes = np.random.default_rng(0).integers(0, 256, (60, 2), np.uint8)
        >>> labels = np.arange(60) % 3
        >>> report = hl.evaluate(codes[:20], labels[:20], codes[20:], labels[20:])
        >>> report.per_query["mAP@all"].shape
        (20,)
        >>> print(report.to_csv().splitlines()[0])
        figure,value
        >>> report.compare(report)["mAP@all"].mean
        0.0
    """

    def __init__(self, content: Mapping[str, Any], per_query: Mapping[str, NDArray[np.float64]]) -> None:
        super().__init__(content)
        self.per_query = dict(per_query)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Report:
        """A report that was written down, as :func:`hashlens.reports.write_report` does.

        Args:
            path: its folder, or ``metrics.json`` in it. Without ``queries.csv`` beside it, there are no scores of
                queries.

        Raises:
            BadInput: there is none, or its files do not go together.

        Example:
            >>> Report.read("nowhere")
            Traceback (most recent call last):
            ...
            hashlens.errors.BadInput: nowhere is no report of hashlens evaluate (No such file or directory).
        """
        path = Path(path)
        path = path / METRICS_FILE if path.is_dir() else path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadInput(f"{path} is no report of hashlens evaluate ({error.strerror}).") from None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path} is no report of hashlens evaluate ({error}).") from None
        if not isinstance(content, dict):
            raise BadInput(f"{path} is no report of hashlens evaluate: it holds no figures.")
        beside = path.with_name(QUERIES_FILE)
        per_query = _read_scores(beside) if beside.is_file() else {}
        for name, scores in per_query.items():
            told = content.get(name)
            if not isinstance(told, float) or not np.isclose(_mean(scores), told, rtol=0, atol=1e-6):
                raise BadInput(f"{beside} is not of {path}: they tell different things of {name}.")
        return cls(content, per_query)

    @property
    def figures(self) -> dict[str, float]:
        """The figures alone."""
        return {name: self[name] for name in self.per_query}

    def to_dict(self, per_query: bool = False) -> dict[str, Any]:
        """A plain dictionary that JSON can hold.

        Args:
            per_query: with the lists of :attr:`per_query` under that name.
        """
        lists = {name: values.tolist() for name, values in self.per_query.items()}
        return {**self, "per_query": lists} if per_query else dict(self)

    def to_csv(self, per_query: bool = False) -> str:
        """The figures as lines ``figure,value``.

        Args:
            per_query: a column for each figure and a line for each query instead.

        Example:
            >>> print(Report({"mAP@10": 0.75}, {"mAP@10": np.array([0.5, 1.0])}).to_csv(per_query=True))
            query,mAP@10
            0,0.5
            1,1.0
            <BLANKLINE>
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if per_query:
            writer.writerow(["query", *self.per_query])
            writer.writerows(
                [number, *row] for number, row in enumerate(zip(*self.per_query.values(), strict=True))
            )
        else:
            writer.writerow(["figure", "value"])
            writer.writerows(self.figures.items())
        return text.getvalue()

    def compare(
        self, other: Report, seed: int = 0, resamples: int = 10_000, confidence: float = 0.95
    ) -> dict[str, Difference]:
        """How much better this report is than another one of the same queries, by two paired tests over queries.

        *Bootstrap*: queries are drawn with replacement, and with each draw the mean difference is taken (Efron and
        Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16). The interval holds the middle share
        of these means. The p-value is two-sided: how many of them, shifted to a mean of zero, are at least as large
        in size as the difference found. *Permutation*: if the two are equally good, either score of a query may be
        either's, so that the sign of each difference is drawn anew (Fisher's randomization test; Smucker, Allan and
        Carterette, CIKM 2007). The p-value, two-sided too, is how many of the means that result are at least as
        large in size. It is exact where all draws of signs are no more than ``resamples``, which then are all
        taken. Else both p-values count the difference found among the draws, so that none is below 1/(resamples +
        1).

        Neither is corrected for looking at several figures.

        Args:
            other: a report of the same queries in the same order.
            seed: of the draws.
            resamples: number of draws of each.
            confidence: of the interval, between 0 and 1.

        Returns:
            For every figure that both have, this one's less the other's.

        Raises:
            BadInput: the reports are of different queries or databases, as far as they tell, or have no figure in
                common; or an argument is out of range.

        Example:
            >>> ours, theirs = np.linspace(0.5, 1.0, 100), np.linspace(0.45, 0.9, 100)
            >>> found = Report({}, {"mAP@all": ours}).compare(Report({}, {"mAP@all": theirs}))["mAP@all"]
            >>> round(found.mean, 3), found.low < found.mean < found.high, found.p_value < 0.001
            (0.075, True, True)
        """
        if resamples < 1 or not 0 < confidence < 1:
            raise BadInput("A bootstrap needs at least one draw and a confidence between 0 and 1.")
        for key, what in SAME.items():
            if key in self and key in other and self[key] != other[key]:
                raise BadInput(f"The reports are of different {what}, so they cannot be compared query by query.")
        names = [name for name in self.per_query if name in other.per_query]
        if not names:
            raise BadInput("The two reports have no figure in common.")
        ours, theirs = (np.stack([one.per_query[name] for name in names], 1) for one in (self, other))
        if len(ours) != len(theirs):
            raise BadInput(f"The reports are of {len(ours)} and {len(theirs)} queries; compare the same queries.")
        differences = ours - theirs
        means = _resampled_means(differences, seed, resamples)
        mean = np.nanmean(differences, axis=0)
        low, high = np.nanquantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        extreme = (np.abs(means - mean) >= np.abs(mean)).sum(0)
        p_values = (extreme + 1) / (resamples + 1)
        columns = mean, low, high, p_values, _permutation_p_values(differences, seed, resamples)
        return {name: Difference(*map(float, found)) for name, *found in zip(names, *columns, strict=True)}


def _resampled_means(values: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """(R, F) means over rows of (Q, F) values that are drawn with replacement; NaN are passed over."""
    random = np.random.default_rng(seed)
    count = len(values)
    known = ~np.isnan(values)
    values = np.where(known, values, 0)
    at_once = max(1, RESAMPLES_AT_ONCE // count)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, at_once):
        drawn = random.integers(0, count, (min(at_once, resamples - start), count))
        counts = np.zeros((len(drawn), count))
        np.add.at(counts, (np.arange(len(drawn))[:, None], drawn), 1)
        means[start : start + len(drawn)] = _divided(counts @ values, counts @ known)
    return means


def _permutation_p_values(values: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """(F,) shares of draws of signs, of (Q, F) values, that make sums as large in size as theirs; NaN are none."""
    values = np.nan_to_num(values)
    count = len(values)
    least = np.abs(values.sum(0)) * (1 - 1e-9)  # sums of the same numbers may be rounded otherwise
    extreme = np.zeros(values.shape[1], np.int64)
    every = 2**count if count < 63 else resamples + 1
    exact = every <= resamples
    draws = every if exact else resamples
    random = np.random.default_rng((seed, 1))
    at_once = max(1, RESAMPLES_AT_ONCE // count)
    for start in range(0, draws, at_once):
        some = min(at_once, draws - start)
        if exact:
            ones = np.arange(start, start + some)[:, None] >> np.arange(count) & 1
        else:
            ones = random.integers(0, 2, (some, count), np.int8)
        extreme += (np.abs((2.0 * ones - 1) @ values) >= least).sum(0)
    return extreme / draws if exact else (extreme + 1) / (draws + 1)


def _mean(scores: NDArray[np.float64]) -> float:
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else float("nan")


def _read_scores(path: Path) -> dict[str, NDArray[np.float64]]:
    """The scores of every query, by figure."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        table = np.array(rows, np.float64).reshape(len(rows), len(head))
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"{path} does not hold the scores of queries ({error}).") from None
    if head[:1] != ["query"] or not rows or not (table[:, 0] == np.arange(len(rows))).all():
        raise BadInput(f"{path} does not hold the scores of queries, numbered from 0.")
    return dict(zip(head[1:], np.ascontiguousarray(table[:, 1:].T), strict=True))


def _divided(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
