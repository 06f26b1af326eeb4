"""Which column of somebody else's table is what of a trace, and in which unit.

The rules for tables in text (`tables`) and in memory (`arrow`) alike.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from accrual.traces.gather import instants_inside

INSTANTS: Final = ("arrivals", "sent", "sent_remote")
ROLES: Final = ("arrivals", "sequence", "sent", "sent_remote", "epoch", "peer")
"""What a column can be: a parameter of `Trace`, or who sent the heartbeat."""

UNITS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Unit -> nanoseconds."""

_suffix: Final = re.compile(r".*_(s|ms|us|ns)").fullmatch
_number: Final = re.compile(r"[+-]?(?:\d{1,19}(?:[.,]\d{1,40})?|[.,]\d{1,40})(?:[eE][+-]?\d{1,2})?").fullmatch
_integer: Final = re.compile(r"[+-]?(?:\d{1,19}|\d{1,3}(?:[ '\xa0\u2009\u202f]\d{3}){1,6})(?:\.0*)?").fullmatch
_marks: Final = re.compile(r"[ '\xa0\u2009\u202f]|\.0*$").sub
_date: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\d* ?(?:Z|UTC|([+-])(\d\d):?(\d\d))?"
).fullmatch

# What Unix times are today, by unit: the years 2001 to 2033, which do not overlap from one unit to the next.
_UNIX: Final = (1_000_000_000, 2_000_000_000)

_DAY_ONE: Final = datetime.date(1970, 1, 1).toordinal()


class Column(NamedTuple):
    """A column that was found.

    Parameters
    ----------
    role : str
        One of `ROLES`.
    place : int
        Which of the table's columns it is, from 0.
    name : str
        What the table calls it.
    unit : str or None
        Of its instants, where somebody tells it.
    """

    role: str
    place: int
    name: str
    unit: str | None


class Selection:
    """What the caller wants of a table.

    Parameters
    ----------
    columns : mapping of str to str or int, optional
        Role -> the column's name, or its number from 1 in a table without a header. By default the roles' own names,
        instants with their unit behind them: ``arrival_ns``, ``sent_ms``, ``sequence``, ``peer``, ...
    unit : str or mapping of str to str, optional
        ``s``, ``ms``, ``us`` or ``ns``, of all instants or of each role. By default what the name ends in, or what the
        first value can only be as a Unix time of 2001 to 2033.

    Raises
    ------
    ValueError
        An unknown role or unit, a number below 1, no column of arrivals, names and numbers mixed.
    """

    def __init__(
        self, columns: Mapping[str, str | int] | None = None, unit: str | Mapping[str, str] | None = None
    ) -> None:
        """Check what is asked for."""
        units = dict.fromkeys(INSTANTS, unit) if isinstance(unit, str) else dict(unit or {})
        for role, name in units.items():
            if role not in INSTANTS or name not in UNITS:
                raise ValueError(
                    f"unit must be one of {', '.join(UNITS)} for {', '.join(INSTANTS)}, is {name!r} for {role!r}"
                )
        if columns is not None:
            for role, place in columns.items():
                if role not in ROLES:
                    raise ValueError(f"columns are {', '.join(ROLES)}, not {role!r}")
                if not (place >= 1 if type(place) is int else isinstance(place, str)):
                    raise ValueError(f"column of {role} must be a name, or a number from 1, is {place!r}")
            if "arrivals" not in columns:
                raise ValueError("columns must say which one holds the arrivals")
            if len({type(place) for place in columns.values()}) > 1:
                raise ValueError("columns must all be names, or all be numbers in a table without a header")
        self.columns: Final = columns
        self.units: Final = units
        self.by_number: Final = columns is not None and isinstance(columns["arrivals"], int)

    def find(self, names: Sequence[str]) -> list[Column] | None:
        """Find the columns among names, or with numbers in a table of that width; None where one is not there."""
        if self.columns is None:
            return self._by_own_names(names)
        found = []
        for role, place in self.columns.items():
            if isinstance(place, int):
                if place > len(names):
                    return None
                found.append(Column(role, place - 1, f"{place}", self.units.get(role)))
            elif names.count(place) != 1:
                return None
            else:
                found.append(self._column(role, names.index(place), place))
        return found

    def _by_own_names(self, names: Sequence[str]) -> list[Column] | None:
        found = []
        for place, name in enumerate(names):
            bare = name[: -len(match[1]) - 1] if (match := _suffix(name)) else name
            role = "arrivals" if bare == "arrival" else bare
            if role in (INSTANTS if match else ROLES):
                found.append(self._column(role, place, name))
        roles = [column.role for column in found]
        return found if "arrivals" in roles and len(set(roles)) == len(roles) else None

    def _column(self, role: str, place: int, name: str) -> Column:
        named = match[1] if (match := _suffix(name)) else None
        return Column(role, place, name, self.units.get(role, named if role in INSTANTS else None))

    def wanted(self) -> str:
        """Say what was looked for."""
        if self.columns is None:
            return "arrivals in a column arrival_ns, arrival_ms, ..., or columns= to say which one it is"
        return f"columns {', '.join(str(place) for place in self.columns.values())}"


def unit_of(value: Any) -> str | None:
    """The one unit in which a number is a Unix time of 2001 to 2033, if it is in one; of a date, seconds.

    Examples
    --------
    >>> unit_of(1767225600123), unit_of("1767225600.5"), unit_of(17.5)
    ('ms', 's', None)
    """
    if isinstance(value, str) and _date(value):
        return "s"
    number = _as_decimal(value)
    if number is None:
        return None
    for unit, nanoseconds in UNITS.items():
        if _UNIX[0] <= number * nanoseconds / UNITS["s"] < _UNIX[1]:
            return unit
    return None


def as_instant(value: Any, unit: str) -> int | None:
    """Nanoseconds, exact to the last digit or rounded to the nearest; None where the value is no instant.

    Parameters
    ----------
    value : int, Decimal or str
        A number in `unit`, with a decimal point or comma in text; or a date and time as in ISO 8601, of UTC if it does
        not say otherwise.
    unit : str
        One of `UNITS`.

    Examples
    --------
    >>> as_instant("1767225600.123456789", "s"), as_instant("12,5", "ms"), as_instant("2026-01-01T01:00:00+01:00", "s")
    (1767225600123456789, 12500000, 1767225600000000000)
    """
    if isinstance(value, str) and (date := _date(value)):
        instant = _as_unix(date)
    else:
        number = _as_decimal(value)
        instant = None if number is None else round(number * UNITS[unit])
    return instant if instant is not None and instants_inside(instant) else None


def _as_decimal(value: Any) -> int | Decimal | None:
    if isinstance(value, str):
        if not _number(value):
            return None
        value = int(value) if value.isdecimal() else Decimal(value.replace(",", "."))
    if type(value) is int:
        return value if _fits(value) else None
    return value if isinstance(value, Decimal) and _fits(value) else None


def _as_unix(date: re.Match[str]) -> int | None:
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = date.groups()
    try:
        days = datetime.date(int(year), int(month), int(day)).toordinal() - _DAY_ONE
        datetime.time(int(hour), int(minute), int(second))
    except ValueError:
        return None
    seconds = ((days * 24 + int(hour)) * 60 + int(minute)) * 60 + int(second)
    if sign:
        seconds -= (1 if sign == "+" else -1) * (int(zone_hours) * 60 + int(zone_minutes)) * 60
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def as_integer(value: Any) -> int | None:
    """A whole number of 64 bits, in text perhaps with blanks or apostrophes as thousands marks; None where it is none.

    Examples
    --------
    >>> as_integer("1\xa0406"), as_integer(7), as_integer("7.0"), as_integer("7.5")
    (1406, 7, 7, None)
    """
    if isinstance(value, str):
        value = int(_marks("", value)) if _integer(value) else None
    elif isinstance(value, Decimal):
        value = int(value) if _fits(value) and value == value.to_integral_value() else None
    return value if type(value) is int and _fits(value) else None


def _fits(value: int | Decimal) -> bool:
    """Whether 64 bits hold it. Compared as it is: arithmetic on 1e999999999 raises or does not end."""
    return -(2**63) <= value < 2**63
