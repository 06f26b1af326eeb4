"""Isolation for real: threads, processes, containers, virtual machines and hosts, each a lab."""
