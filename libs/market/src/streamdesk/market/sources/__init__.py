"""Sources of bars behind one interface, `port.BarSource`."""
