"""Isolation for real: threads, processes, containers, virtual machines and hosts, each a lab."""

from accrual.isolation.labs.compare import compare
from accrual.isolation.labs.containers import containers
from accrual.isolation.labs.hosts import hosts
from accrual.isolation.labs.ladder import ladder
from accrual.isolation.labs.limits import limits
from accrual.isolation.labs.processes import processes
from accrual.isolation.labs.threads import threads
from accrual.isolation.labs.vm import vm

__all__ = ["compare", "containers", "hosts", "ladder", "limits", "processes", "threads", "vm"]
