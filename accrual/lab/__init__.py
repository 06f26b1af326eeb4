"""Labs: experiments on real processes and servers, each one call and one command, of which nothing is left behind."""

from accrual.lab.recordings import Recording, recorded, recordings, run_or_recorded
from accrual.lab.result import Event, LabResult
from accrual.lab.running import LABS, Lab, LabError, Lack, lab
from accrual.lab.scene import Scene
from accrual.traces.child import UnavailableError

__all__ = [
    "LABS",
    "Event",
    "Lab",
    "LabError",
    "LabResult",
    "Lack",
    "Recording",
    "Scene",
    "UnavailableError",
    "lab",
    "recorded",
    "recordings",
    "run_or_recorded",
]
