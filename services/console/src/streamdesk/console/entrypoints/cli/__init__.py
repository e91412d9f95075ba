"""The commands, thin: options in, desk or bus, text out."""
