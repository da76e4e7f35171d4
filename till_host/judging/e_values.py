"""Bets against a claim on shares of bad requests, as logarithms of what each unit of stake becomes. Pure.

While the claim holds, no bet can be expected to grow, whatever it was laid on before. So an e-process, bets that began
with a stake of 1, reaches 1/alpha with a probability of alpha at most, however often one looks (Ville's inequality).
All shares are ratios from 0 to 1.
"""

from __future__ import annotations

import math
from functools import lru_cache

from till_host.judging.counts import Counts

# A release that answers nothing rightly is bet on with this share: 1 would lose all by one good answer.
WORST_RATIO = 0.9
# Dense near the claim, where the difference is hardest to see.
STEPS = tuple((step / 6) ** 2 for step in range(1, 7))
# Far above every verdict, and far below what a float can't hold; to give capital away is never unfair.
CAPITAL_MAX = 1e12
FACTOR_LOG_MAX = 700.0


def above(ratio: float) -> tuple[float, ...]:
    """Shares to bet on from just above `ratio` to WORST_RATIO; as many for each ratio."""
    worst = max(WORST_RATIO, ratio)
    return tuple(ratio * (worst / ratio) ** step for step in STEPS)


def alone(counts: Counts, bet: float, claim: float) -> float:
    """The share is `bet`, against a claim that it lies at `claim` or beyond (on the other side than `bet`).

    The likelihood ratio of Bernoulli trials (Wald, 1945).
    """
    if bet == 0 and counts.bad:
        return -math.inf
    lost = counts.bad * math.log(bet / claim) if counts.bad else 0.0
    return lost + counts.good * math.log((1 - bet) / (1 - claim))


def settled(capitals: tuple[float, ...], shares: tuple[float, ...], counts: Counts, claim: float) -> tuple[float, ...]:
    """The capitals of bets on these shares against a claim, after these counts; at most CAPITAL_MAX each."""
    grown_by = _factors(shares, counts, claim)
    return tuple(min(CAPITAL_MAX, one * factor) for one, factor in zip(capitals, grown_by, strict=True))


# A watch looks at each payment, and most looks bring the same few counts.
@lru_cache(maxsize=4096)
def _factors(shares: tuple[float, ...], counts: Counts, claim: float) -> tuple[float, ...]:
    return tuple(math.exp(min(alone(counts, share, claim), FACTOR_LOG_MAX)) for share in shares)


def beside(canary: Counts, baseline: Counts, bet_canary: float, bet_baseline: float, margin: float) -> float:
    """Both shares are as bet, against a claim on their difference: canary <= baseline + margin, or >= if bet so.

    What both releases suffer at once moves both and wins nothing: only the difference in the same block of requests
    counts. For a margin of 0 it is the two-stream E-variable of Turner, Ly and Grünwald (2024). Otherwise the claim is
    met at (middle, middle + margin), and both linear bets are sized so that their expected gains cancel there:
    log(1 + x) <= x then leaves no gain for any pair of shares in the claim.
    """
    if not canary.requests or not baseline.requests:
        return 0.0
    both = canary.requests + baseline.requests
    middle = (canary.requests * (bet_canary - margin) + baseline.requests * bet_baseline) / both
    # A margin can push it to where no share lies.
    middle = max(middle, bet_baseline / 2)
    claim = middle + margin
    if claim >= 1:
        return 0.0
    on_canary = (bet_canary - claim) / (claim * (1 - claim))
    on_baseline = -on_canary * canary.requests / baseline.requests
    # With a margin the cancelling bet may lose more than its share would say: then both are made smaller.
    at_risk = max(-on_baseline * (1 - middle), on_baseline * middle)
    kept = min(bet_baseline / middle, (1 - bet_baseline) / (1 - middle)) / 2
    size = min(1.0, (1 - kept) / at_risk) if at_risk else 0.0
    return _settled(canary, size * on_canary, claim) + _settled(baseline, size * on_baseline, middle)


def grown(capital: float, log_factor: float) -> float:
    """The capital after a bet, at most CAPITAL_MAX."""
    if not capital:
        return 0.0
    return min(CAPITAL_MAX, math.exp(min(math.log(capital) + log_factor, math.log(CAPITAL_MAX))))


def even(total: float, count: int) -> tuple[float, ...]:
    """`total` in equal parts."""
    return (total / count,) * count


def staked(first: float, count: int) -> tuple[float, ...]:
    """A stake of 1 on `count` bets: `first` of it on the first, the rest in equal parts."""
    return (first, *even(1 - first, count - 1))


def certainty(capital: float) -> float:
    """How rarely an e-process is that high while the claim holds, as a ratio: 0.95 where it has 20."""
    return max(0.0, 1 - 1 / capital) if capital > 0 else 0.0


def _settled(counts: Counts, bet: float, claim: float) -> float:
    return counts.bad * math.log1p(bet * (1 - claim)) + counts.good * math.log1p(-bet * claim)
