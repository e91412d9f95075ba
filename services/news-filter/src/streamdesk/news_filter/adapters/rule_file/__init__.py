"""The YAML file of rules."""
