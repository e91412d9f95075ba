"""What the console decides without touching anything: plans, waits, counts, figures."""
