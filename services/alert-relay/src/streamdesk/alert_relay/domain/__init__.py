"""What is reported, when, and in which words: no input or output, no clock, no bus."""
