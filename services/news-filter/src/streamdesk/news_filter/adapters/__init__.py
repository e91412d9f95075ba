"""What is outside of the filter: the file of rules, scorers, the cache of scores."""
