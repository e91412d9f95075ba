"""What comes in: signals and bars, ticks of a schedule, commands."""
