"""How long a campaign takes, and from which seed."""

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
