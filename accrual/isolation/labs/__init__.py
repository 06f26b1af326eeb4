"""Isolation for real: threads, processes, containers, virtual machines and hosts, each a lab."""

from accrual.isolation.labs.containers import containers
from accrual.isolation.labs.hosts import hosts
from accrual.isolation.labs.vm import vm

__all__ = ["containers", "hosts", "vm"]
