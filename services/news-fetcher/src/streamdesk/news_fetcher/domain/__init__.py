"""The rules of fetching: pure, without a clock, input or output."""
