"""How long a campaign takes, from which seed, and how its processes tell what went wrong."""

from __future__ import annotations

import os
import time


def seconds(short: float) -> float:
    """For each of the five campaigns: ``short``, unless ``HASHLENS_CAMPAIGN_SECONDS`` says otherwise."""
    return float(os.environ.get("HASHLENS_CAMPAIGN_SECONDS", short))


def is_long() -> bool:
    return "HASHLENS_CAMPAIGN_SECONDS" in os.environ


def seed() -> int:
    """0 in short campaigns, so that tests are the same each time; another one in each long campaign.

    ``HASHLENS_CAMPAIGN_SEED`` repeats one that was printed.
    """
    return int(os.environ.setdefault("HASHLENS_CAMPAIGN_SEED", str(int(time.time())) if is_long() else "0"))


def say(*words: object) -> None:
    """A line on standard output, even where the process ends in the next moment."""
    os.write(1, (" ".join(str(word).replace("\n", " ") for word in words) + "\n").encode(errors="replace"))


def told(error: BaseException) -> str:
    """An exception in short, and where it was raised."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = "" if where is None else f" at {where.tb_frame.f_code.co_filename}:{where.tb_lineno}"
    return f"{type(error).__name__}: {str(error)[:300]}{place}"
