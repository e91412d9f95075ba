"""Where a tick of a schedule comes in."""
