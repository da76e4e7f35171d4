"""What each version answered during a deploy, second by second: added up, kept within a number. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class Sample(BaseModel):
    """What one version answered from `at_s` (whole seconds) on, over a second; over more where there were too many."""

    model_config = ConfigDict(frozen=True)
    at_s: float
    version: str
    requests: int
    errors: int = 0
    p95_ms: float | None = None


def gathered(traffic: Iterable[Sample], span_s: float) -> list[Sample]:
    """One sample per version for each span: counts are added up, of the p95 the worst stays."""
    found: dict[tuple[float, str], Sample] = {}
    for one in traffic:
        key = (one.at_s // span_s * span_s, one.version)
        found[key] = _added(found[key], one) if key in found else one.model_copy(update={"at_s": key[0]})
    return list(found.values())


def thinned(traffic: Iterable[Sample], most: int) -> list[Sample]:
    """The same traffic in at most so many samples, over 2, 4, 8 ... s each where there are more."""
    samples, span_s = list(traffic), 1
    most = max(most, len({one.version for one in samples}))
    while len(samples) > most:
        span_s *= 2
        samples = gathered(samples, span_s)
    return samples


def totals(traffic: Iterable[Sample]) -> dict[str, Sample]:
    """All of a version as one sample, in the order in which versions appear."""
    found: dict[str, Sample] = {}
    for one in traffic:
        found[one.version] = _added(found[one.version], one) if one.version in found else one
    return found


def _added(one: Sample, other: Sample) -> Sample:
    slow = [p95_ms for p95_ms in (one.p95_ms, other.p95_ms) if p95_ms is not None]
    requests, errors = one.requests + other.requests, one.errors + other.errors
    return one.model_copy(update={"requests": requests, "errors": errors, "p95_ms": max(slow, default=None)})
