"""From a signal to positions. Pure: no I/O, no clock, no bus."""
