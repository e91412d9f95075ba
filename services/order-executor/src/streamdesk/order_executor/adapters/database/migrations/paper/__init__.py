"""Steps of the paper broker's tables."""
