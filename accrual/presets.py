"""What others ship, as data: each preset, called, gives a detector and the threshold that goes with it.

>>> import accrual as ac
>>> detector, threshold = ac.presets.cassandra()
>>> print(detector, threshold)
phi-exponential:max_interval=2,first_interval=2 8.0
>>> print(ac.presets.cassandra.version)
4.1: the tree of January 2023, at d7c5c54

The same number means different silences: 8 is 18.4 means in Cassandra, 8 in chitchat, and the mean, the pause and 5.2
deviations in Akka. `differs` says what a preset leaves out; all of them call a peer suspected from the threshold on
(level >= threshold), where some of the originals begin above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from accrual.detectors import Detector, FixedTimeout, PhiExponential, PhiLogistic, PhiNormal

__all__ = [
    "PRESETS",
    "Preset",
    "akka",
    "cassandra",
    "chitchat",
    "hazelcast",
    "kubernetes",
    "lecture_fixed",
    "lecture_phi",
    "pekko_remote",
    "sentinel",
]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A detector as somebody ships it; called, it gives (detector, threshold).

    Attributes
    ----------
    name : str
    detector : Detector
    threshold : float
        On the detector's own scale.
    source : str
        Where the figures stand.
    version : str
        Of what they were read.
    differs : str
        What the original does and this does not.
    """

    name: str
    detector: Detector
    threshold: float
    source: str
    version: str
    differs: str

    def __call__(self) -> tuple[Detector, float]:
        """The detector and its threshold."""
        return self.detector, self.threshold


AKKA_DIFFERS = (
    "Instants in whole ms. Before the first heartbeat phi is 0 and the peer available (here: unknown); a fake first "
    "heartbeat after expected-response-after (here: Monitor.expect)."
)

akka = Preset(
    name="akka",
    detector=PhiLogistic(window=1000, min_deviation=0.1, pause=3.0, first_interval=1.0, learn_below=8.0),
    threshold=8.0,
    source="akka.cluster.failure-detector (pekko.cluster...) in cluster/src/main/resources/reference.conf",
    version="Pekko 2.0.0-M4 (9d97713); the same figures in pekko at 0a8b8a5 and akka at 000953e",
    differs=AKKA_DIFFERS,
)

pekko_remote = Preset(
    name="pekko_remote",
    detector=PhiLogistic(window=200, min_deviation=0.1, pause=10.0, first_interval=1.0, learn_below=10.0),
    threshold=10.0,
    source="pekko.remote.watch-failure-detector in remote/src/main/resources/reference.conf: remote death watch",
    version="Pekko 2.0.0-M4 (9d97713)",
    differs=AKKA_DIFFERS,
)

hazelcast = Preset(
    name="hazelcast",
    # Its heartbeat() overwrites the last arrival before it asks whether the member was alive, so the interval of an
    # outage is always learned: no learn_below.
    detector=PhiLogistic(window=200, min_deviation=0.1, pause=60.0, first_interval=5.0),
    threshold=10.0,
    source="hazelcast.heartbeat.phiaccrual.failuredetector.*, hazelcast.max.no.heartbeat.seconds (the pause) and "
    "hazelcast.heartbeat.interval.seconds (the first estimate) in ClusterProperty.java",
    version="037f064 to 9445eea, 2017 to 2021; the pause and the first estimate as documented, not read in the source",
    differs="Instants in whole ms of the wall clock. A known member that never spoke is alive (here: unknown). The "
    "deadline detector, its default, is another one.",
)

cassandra = Preset(
    name="cassandra",
    detector=PhiExponential(window=1000, max_interval=2.0, first_interval=2.0),
    threshold=8.0,
    source="gms/FailureDetector.java: phi_convict_threshold, fd_initial_value_ms, fd_max_interval_ms",
    version="4.1: the tree of January 2023, at d7c5c54",
    differs="Convicts above the threshold. Nobody for 5 s after its own clock stood still for 5 s (max_local_pause).",
)

chitchat = Preset(
    name="chitchat",
    detector=PhiExponential(window=1000, max_interval=10.0, first_interval=5.0, prior_weight=5.0),
    threshold=8.0 * math.log10(math.e),  # its phi is elapsed / mean, without the logarithm's base: 8 means of silence
    source="chitchat/src/failure_detector.rs: FailureDetectorConfig",
    version="1e77360, April 2026",
    differs="Dead above the threshold, and until the second heartbeat (here: unknown). A death empties the window, so "
    "that two heartbeats are needed to live again (here: Monitor.reset).",
)

sentinel = Preset(
    name="sentinel",
    detector=FixedTimeout(period=1.0),
    threshold=30.0,
    source="sentinel.c: SENTINEL_PING_PERIOD 1000 ms, SENTINEL_DEFAULT_DOWN_AFTER 30000 ms",
    version="Redis; the constants have no version of their own",
    differs="Subjectively down above the threshold. TILT: no judgement for 30 s after its own timer came 2 s late. The "
    "quorum, which makes a master objectively down.",
)

kubernetes = Preset(
    name="kubernetes",
    detector=FixedTimeout(period=10.0),
    threshold=5.0,
    source="the kubelet renews its node lease every 10 s (nodeLeaseDurationSeconds 40, a quarter of it); "
    "node-monitor-grace-period 50 s, 40 s (threshold 4) up to 1.31: kubernetes/kubernetes#126287",
    version="1.32",
    differs="The controller looks every 5 s (node-monitor-period), and counts from when it saw the lease change. "
    "Evictions wait longer.",
)

lecture_fixed = Preset(
    name="lecture_fixed",
    detector=FixedTimeout(period=0.2),
    threshold=5.0,
    source="lecture 31 on distributed technology, fixed heartbeat detection: detection within a second at T = 200 ms "
    "takes k = 1000 / 200 = 5",
    version="as in the course",
    differs="The lecture's bound of k T holds from the last arrival on; from the crash it is longer by up to T and the "
    "delay.",
)

lecture_phi = Preset(
    name="lecture_phi",
    detector=PhiNormal(window=1000),
    threshold=3.0,
    source="lecture 31 on distributed technology, phi accrual: Phi = 1, 2, 3 for mistakes of 10 %, 1 %, 0.1 %; the "
    "window of Hayashibara and others, 2004",
    version="as in the course",
    differs="The lecture rounds phi to whole numbers; here it is real. Its percentages want normal intervals and a "
    "full window.",
)

PRESETS = {
    preset.name: preset
    for preset in (
        akka, pekko_remote, hazelcast, cassandra, chitchat, sentinel, kubernetes, lecture_fixed, lecture_phi,
    )
}  # fmt: skip
"""Every preset by its name."""
