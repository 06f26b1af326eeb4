"""The compiled core: no I/O, no clock, no field names."""
