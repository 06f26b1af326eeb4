"""The lessons: checking their exercises."""

from accrual.course.checking import check

__all__ = ["check"]
