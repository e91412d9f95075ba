"""Sentiment by VADER with a finance lexicon."""
