"""What is told, when, and how it reads: no input or output, no clock, no bus."""
