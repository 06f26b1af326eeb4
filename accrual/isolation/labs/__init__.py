"""Isolation for real: threads, processes, containers, virtual machines and hosts, each a lab."""

from accrual.isolation.labs.compare import compare
from accrual.isolation.labs.ladder import ladder
from accrual.isolation.labs.limits import limits
from accrual.isolation.labs.processes import processes
from accrual.isolation.labs.threads import threads

__all__ = ["compare", "ladder", "limits", "processes", "threads"]
