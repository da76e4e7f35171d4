"""Is a release worse than another one was before it, by counts that were taken beforehand? Pure.

The earlier counts are a sample, too: few of them, or lucky ones, say little. So both shares are unknown here.
"""

from __future__ import annotations

import math

from till_host.judging.counts import Counts
from till_host.judging.e_values import CAPITAL_MAX


def worse_e(earlier: Counts, now: Counts, expected: float, stakes: tuple[tuple[float, float], ...]) -> float:
    """An e-value against the claim that today's share of bad ones is at most the earlier one, whatever that was.

    `stakes`: (share, part of 1) that today's may be; `expected`: about what the earlier one was (its prior is a beta
    distribution with that mean). The bet is divided by the likelihood of the claim's best pair of shares, so it
    can't be expected to grow at any pair of the claim, whenever it is looked at: universal inference (Wasserman, Ramdas
    and Balakrishnan, 2020).
    """
    if not earlier.requests or now.bad_ratio <= earlier.bad_ratio:
        return 0.0
    both = earlier + now
    prior_bad, prior_good = 1.0, 1.0 / expected - 1.0
    bet_earlier = _log_beta(earlier.bad + prior_bad, earlier.good + prior_good) - _log_beta(prior_bad, prior_good)
    bets_now = [math.log(part) + _log_likelihood(now, share) for share, part in stakes]
    best = max(bets_now)
    bet = bet_earlier + best + math.log(sum(math.exp(one - best) for one in bets_now))
    return math.exp(min(bet - _log_likelihood(both, both.bad_ratio), math.log(CAPITAL_MAX)))


def _log_likelihood(counts: Counts, share: float) -> float:
    bad = counts.bad * math.log(share) if counts.bad else 0.0
    return bad + (counts.good * math.log1p(-share) if counts.good else 0.0)


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)
