"""Sentiment by FinBERT, a language model that the user mounts."""
