"""Settings for all tests."""

import os

import hypothesis

# One profile everywhere: no deadline (tests never depend on speed), the seed of a failure printed. HYPOTHESIS_EXAMPLES
# widens the search by hand.
hypothesis.settings.register_profile(
    "accrual",
    deadline=None,
    print_blob=True,
    # CI decides whether a change lands, and tries the same examples each time; new ones are sought by hand.
    derandomize=os.environ.get("CI") == "true",
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "100")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("accrual")
