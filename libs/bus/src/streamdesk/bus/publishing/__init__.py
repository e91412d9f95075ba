"""From events to stream entries."""
