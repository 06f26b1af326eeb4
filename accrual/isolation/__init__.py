"""Levels of isolation: what a fault takes with it. A model to turn (here), and labs with real processes."""

from accrual.isolation.shop import FAULTS, LEVELS, SCENARIOS, SHOP, TICKETS, Fault, Level, Service

__all__ = ["FAULTS", "LEVELS", "SCENARIOS", "SHOP", "TICKETS", "Fault", "Level", "Service"]
