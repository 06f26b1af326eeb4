"""What property tests draw: detectors of every kind, and traces with everything that a network or a clock can do."""

import numpy as np
from hypothesis import strategies as st

import accrual as ac

_deviations = st.sampled_from([0.0, 1e-6, 0.01, 0.1])
_pauses = st.sampled_from([0.0, 1e-9, 0.05, 2.5])
_periods = st.sampled_from([0.05, 0.1, 1 / 3, 2.0])
_firsts = st.sampled_from([0.1, 1.0, 3e-9, 0.333333333])

DETECTORS = {
    "fixed-timeout": st.builds(ac.FixedTimeout, period=st.sampled_from([1e-9, 0.05, 0.1, 1 / 3, 2.0, 60.0])),
    "phi-normal": st.builds(
        ac.PhiNormal,
        window=st.integers(2, 40),
        min_samples=st.integers(1, 2),
        min_deviation=_deviations,
        pause=_pauses,
    ),
    "phi-logistic": st.builds(
        ac.PhiLogistic,
        window=st.integers(2, 12),
        min_samples=st.integers(1, 2),
        min_deviation=_deviations,
        pause=_pauses,
        first_interval=st.none() | _firsts,
        learn_below=st.none() | st.sampled_from([0.5, 1.5, 8.0]),
    ),
    "phi-exponential": st.builds(
        ac.PhiExponential,
        window=st.integers(2, 12),
        min_samples=st.integers(1, 2),
        max_interval=st.none() | st.sampled_from([0.1, 2.0]),
        first_interval=_firsts,
        prior_weight=st.sampled_from([0.0, 5.0, 0.3]),
    ),
    "phi-student": st.builds(
        ac.PhiStudent,
        window=st.integers(3, 12),
        min_samples=st.integers(2, 3),
        min_deviation=_deviations,
        pause=_pauses,
    ),
    "empirical": st.builds(
        ac.Empirical,
        window=st.integers(1, 12),
        stretch=st.sampled_from([1.0, 1.1, 1 / 0.9, 3.0]),
    ),
    "chen": st.builds(ac.Chen, period=st.none() | _periods, window=st.integers(2, 12))
    | st.builds(ac.Chen, period=_periods, window=st.just(1)),
    "two-window": st.integers(1, 12).flatmap(
        lambda long: st.builds(ac.TwoWindow, period=_periods, short=st.integers(1, long), long=st.just(long))
    ),
    "bertier": st.builds(
        ac.Bertier,
        period=_periods,
        window=st.integers(1, 12),
        beta=st.sampled_from([0.0, 1.0]),
        phi=st.sampled_from([0.0, 4.0]),
        gamma=st.sampled_from([0.01, 0.1, 1.0]),
    ),
    "expected-arrival": st.builds(
        ac.ExpectedArrival,
        period=st.none() | _periods,
        gain=st.sampled_from([0.06, 0.25, 1.0]),
        clip=st.sampled_from([2.0, 4.0]),
        agree=st.integers(1, 3),
        scale=st.none() | st.sampled_from([0.0, 0.02]),
    ),
}
"""A strategy for each detector of the registry, by its name."""

detectors = st.one_of(*DETECTORS.values())


def traces(steps, min_size=1, max_size=80, **about):
    """Losses, duplicates, reorderings and restarts, in traces whose arrivals lie `steps` ns apart (a strategy).

    `about`: further arguments of accrual.Trace, each a function of the arrivals to a strategy.
    """

    @st.composite
    def draw_trace(draw):
        arrivals = np.cumsum(draw(st.lists(steps, min_size=min_size, max_size=max_size)))
        n = len(arrivals)
        sequence = epoch = None
        if draw(st.booleans()):
            sequence = np.cumsum(draw(st.lists(st.sampled_from([1, 1, 1, 2, 5, 0, -3]), min_size=n, max_size=n)))
        if draw(st.booleans()):
            epoch = np.cumsum(draw(st.lists(st.sampled_from([0] * 9 + [1]), min_size=n, max_size=n)))
        rest = {name: draw(strategy(arrivals)) for name, strategy in about.items()}
        return ac.Trace(arrivals, sequence=sequence, epoch=epoch, **rest)

    return draw_trace()
