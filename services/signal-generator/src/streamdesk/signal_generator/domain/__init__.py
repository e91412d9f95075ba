"""The service's own rules: the simulated market. The scoring rules are in `streamdesk.strategy`."""
