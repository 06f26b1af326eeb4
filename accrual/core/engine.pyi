from collections.abc import Callable, Mapping
from typing import Any, Final, SupportsFloat, SupportsIndex

from numpy import float64, int32, int64, uint8, void
from numpy.typing import NDArray
from typing_extensions import disjoint_base

TIERS: Final[dict[str, int]]
LAWS: Final[dict[str, int]]
ESTIMATORS: Final[dict[str, int]]
VERDICT: Final[dict[str, int]]
ACCOUNT: Final[list[tuple[str, str]]]
NEVER: Final[int]
INSTANT_LIMIT: Final[int]
FIXED_UNITS: Final[int]
LARGEST_WINDOW: Final[int]
SCORED_LIMIT: Final[int]
LATE: Final[dict[str, int]]
EARLY: Final[dict[str, int]]
RESUMED: Final[dict[str, int]]
STARTS: Final[int]
TOTAL: Final[dict[str, int]]

def tier(name: str | None = None) -> str: ...
def as_instant(value: SupportsIndex, name: str) -> int: ...
def as_threshold(value: SupportsFloat) -> float: ...

@disjoint_base
class Detector:
    def __init__(
        self,
        *,
        law: str,
        kind: str = "constant",
        window: int = 0,
        min_samples: int = 0,
        pause: int = 0,
        floor: float = 1.0,
        scale: float = 1.0,
        weight: float = 0.0,
        prior: float = 0.0,
        seeds: tuple[int, ...] = (),
        longest: int = ...,
        unlearned: float = ...,
        stretch: tuple[int, int] = (1, 1),
        period: float = 0.0,
        short_window: int = 0,
        beta: float = 0.0,
        phi: float = 0.0,
        gamma: float = 0.0,
        gain: float = 0.0,
        clip: float = 0.0,
        agree: int = 0,
        share: float = -1.0,
    ) -> None: ...
    @property
    def parameters(self) -> dict[str, Any]: ...
    @property
    def window(self) -> int: ...
    @property
    def seeds(self) -> int: ...
    @property
    def memory(self) -> int | None: ...
    @property
    def plain(self) -> bool: ...
    @property
    def sequential(self) -> bool: ...
    @property
    def scheduled(self) -> bool: ...
    @property
    def columns(self) -> int: ...
    @property
    def words(self) -> int: ...
    @property
    def sample(self) -> bool: ...
    @property
    def min_samples(self) -> int: ...
    @property
    def asks(self) -> bool: ...
    def level(self, z: float, df: int = 0) -> float: ...
    def inverse(self, level: float, df: int = 0) -> float: ...

@disjoint_base
class Peer:
    def __init__(
        self,
        detector: Any,
        threshold: SupportsFloat,
        clock: Callable[[], int],
        stable_after: int = 0,
        unknown_after: int = -1,
    ) -> None: ...
    @property
    def compiled(self) -> Detector: ...
    @property
    def detector(self) -> Any: ...
    @property
    def clock(self) -> Callable[[], int]: ...
    @property
    def threshold(self) -> float: ...
    @threshold.setter
    def threshold(self, threshold: SupportsFloat) -> None: ...
    @property
    def accepted(self) -> int: ...
    @property
    def ignored(self) -> int: ...
    @property
    def clock_steps(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    @property
    def unlearned(self) -> int: ...
    @property
    def last(self) -> int | None: ...
    @property
    def samples(self) -> int: ...
    def reset(self) -> None: ...
    def expect(self, by: SupportsIndex) -> None: ...
    def heartbeat(
        self,
        now: SupportsIndex | None = None,
        sequence: SupportsIndex | None = None,
        epoch: SupportsIndex | None = None,
    ) -> bool: ...
    def level(self, now: SupportsIndex | None = None) -> float: ...
    def suspected(self, now: SupportsIndex | None = None, threshold: SupportsFloat | None = None) -> bool: ...
    def deadline(self, threshold: SupportsFloat | None = None) -> int | None: ...
    def _look(self, now: SupportsIndex | None = None) -> int: ...
    @property
    def _listeners(self) -> list[Callable[[Any], object]]: ...
    def _listen(self, listener: Callable[[Any], object]) -> None: ...
    def _await_change(self, now: SupportsIndex) -> int | None: ...
    @property
    def _waiting(self) -> int: ...
    def _next_transition(self) -> tuple[int, int, int, float] | None: ...
    def _stats(self) -> tuple[int, float, float, int | None, dict[str, int]]: ...
    def _change_detector(self, detector: Any) -> None: ...
    def _save(self) -> tuple[Any, float, dict[str, Any]]: ...
    def _load(self, saved: Mapping[str, Any]) -> None: ...

@disjoint_base
class Peers:
    def __init__(
        self,
        compiled: Detector,
        threshold: float,
        accounts: NDArray[void],
        deadlines: NDArray[int64],
        sequences: NDArray[int64],
        epochs: NDArray[int64],
        schedules: NDArray[int64],
        ring: NDArray[int64],
    ) -> None: ...
    @property
    def compiled(self) -> Detector: ...
    @property
    def threshold(self) -> float: ...
    @threshold.setter
    def threshold(self, threshold: SupportsFloat) -> None: ...
    def reset(self, peers: NDArray[int64]) -> None: ...
    def heartbeat(
        self,
        peers: NDArray[int64],
        now: NDArray[int64],
        sequence: NDArray[int64] | None,
        epoch: NDArray[int64] | None,
        accepted: NDArray[uint8],
        counts: NDArray[int64],
    ) -> None: ...
    def levels(self, now: SupportsIndex, out: NDArray[float64]) -> None: ...
    def suspected(self, now: SupportsIndex, allocate: Callable[[int], NDArray[int64]]) -> NDArray[int64]: ...

def instants_inside(values: NDArray[int64]) -> bool: ...
def every_heartbeat_counts(
    arrivals: NDArray[int64], sequence: NDArray[int64] | None, epoch: NDArray[int64] | None
) -> bool: ...
def accept_all(
    detector: Detector,
    arrivals: NDArray[int64],
    sequence: NDArray[int64] | None,
    epoch: NDArray[int64] | None,
    chain: NDArray[int64],
    numbers: NDArray[int64],
    starts: NDArray[int64],
    state: NDArray[int64],
    latest: NDArray[int64],
    known_ones: int = 0,
) -> tuple[int, int, int, int, int]: ...
def levels(
    detector: Detector, chain: NDArray[int64], start: int, low: int, high: int, out: NDArray[float64]
) -> int: ...
def states(
    detector: Detector,
    chain: NDArray[int64],
    start: int,
    low: int,
    high: int,
    samples: NDArray[int32],
    total: NDArray[int64],
    denominators: NDArray[float64],
) -> int: ...
def expectations(
    detector: Detector,
    chain: NDArray[int64],
    numbers: NDArray[int64],
    start: int,
    low: int,
    high: int,
    samples: NDArray[int32],
    total: NDArray[int64],
    denominators: NDArray[float64],
    schedule_before: list[float] | None = None,
    at: int = -1,
) -> list[float] | None: ...
def levels_of_lateness(
    detector: Detector, samples: NDArray[int32], state: NDArray[int64], z: NDArray[float64]
) -> None: ...
def outlived(
    detector: Detector,
    chain: NDArray[int64],
    starts: NDArray[int64],
    state: NDArray[int64],
    elapsed: NDArray[int64],
    out: NDArray[float64],
) -> None: ...
def waits(
    detector: Detector,
    chain: NDArray[int64],
    starts: NDArray[int64],
    low: int,
    counts: NDArray[float64],
    bits: int,
    out: NDArray[int64],
) -> None: ...
def latenesses(
    detector: Detector,
    samples: NDArray[int32],
    total: NDArray[int64],
    denominators: NDArray[float64],
    state: NDArray[int64],
    elapsed: NDArray[int64],
    out: NDArray[float64],
) -> None: ...
def reached(detector: Detector, samples: NDArray[int32], threshold: float, out: NDArray[float64]) -> None: ...
def timeouts(
    detector: Detector,
    samples: NDArray[int32],
    total: NDArray[int64],
    denominators: NDArray[float64],
    z: NDArray[float64],
    out: NDArray[int64],
) -> None: ...
def fixed_points(
    detector: Detector,
    samples: NDArray[int32],
    total: NDArray[int64],
    denominators: NDArray[float64],
    locations: NDArray[int64],
    scales: NDArray[int64],
) -> None: ...

@disjoint_base
class Tally:
    def __init__(
        self,
        z: NDArray[float64],
        late: NDArray[int64],
        early: NDArray[int64],
        resumed: NDArray[int64],
        whole: NDArray[int64],
        cells: NDArray[int32],
        number: int,
        elapsed: int,
        previous: float,
    ) -> None: ...
    @property
    def previous(self) -> float: ...
    @property
    def elapsed(self) -> int: ...
    def add(
        self,
        detector: Detector,
        samples: NDArray[int32],
        total: NDArray[int64],
        denominators: NDArray[float64],
        state: NDArray[int64],
        interval: NDArray[int64],
    ) -> int: ...
    def add_chain(self, detector: Detector, chain: NDArray[int64], low: int, high: int) -> tuple[int, bool]: ...
