"""Isolation for real: threads, processes, containers, virtual machines and hosts, each a lab."""

from accrual.isolation.labs.containers import containers

__all__ = ["containers"]
