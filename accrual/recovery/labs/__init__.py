"""Recovery for real: servers that fail over, replicate, elect and are cut off from each other, each a lab."""

from accrual.recovery.labs.election import election
from accrual.recovery.labs.failover import failover
from accrual.recovery.labs.partition import partition
from accrual.recovery.labs.recognition import recognition
from accrual.recovery.labs.replication import replication

__all__ = [
    "election",
    "failover",
    "partition",
    "recognition",
    "replication",
]
