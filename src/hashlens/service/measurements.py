"""How many requests there were and how long they took, as Prometheus reads it."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Measurements:
    """Counts of requests by route and status, and of their times by route. Used in one thread.

    Example:
        >>> measurements = Measurements()
        >>> measurements.count("GET", "/health", 200, 0.003)
        >>> print(measurements.text({"hashlens_images": 20}).splitlines()[-1])
        hashlens_images 20
    """

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request that was answered."""
        self._requests[method, route, status] += 1
        self._times.setdefault(route, [0] * (len(BOUNDS) + 1))[bisect.bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]

    def text(self, gauges: Mapping[str, float]) -> str:
        """Everything in Prometheus's text format.

        Args:
            gauges: other numbers to tell, by name.
        """
        lines = ["# HELP hashlens_requests_total Requests answered.", "# TYPE hashlens_requests_total counter"]
        lines += [
            f'hashlens_requests_total{{method="{method}",route="{route}",status="{status}"}} {number}'
            for (method, route, status), number in sorted(self._requests.items())
        ]
        lines += ["# HELP hashlens_request_seconds Time to answer.", "# TYPE hashlens_request_seconds histogram"]
        for route, numbers in sorted(self._times.items()):
            so_far = 0
            for bound, number in zip((*BOUNDS, "+Inf"), numbers, strict=True):
                so_far += number
                lines.append(f'hashlens_request_seconds_bucket{{route="{route}",le="{bound}"}} {so_far}')
            lines.append(f'hashlens_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'hashlens_request_seconds_count{{route="{route}"}} {so_far}')
        for name, value in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value}"]
        return "\n".join(lines) + "\n"


class Measured:
    """An application whose requests are counted."""

    def __init__(self, app: ASGIApp, measurements: Measurements) -> None:
        self._app = app
        self._measurements = measurements

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            # Addresses that nobody serves are counted together, so that a caller cannot make new counters.
            route = getattr(scope.get("route"), "path", "other") if status != 401 else "other"
            method = scope["method"] if route != "other" else "any"
            self._measurements.count(method, route or "/", status, time.perf_counter() - started)
