"""What the doctor decides from what was read; each check is a function of facts."""
