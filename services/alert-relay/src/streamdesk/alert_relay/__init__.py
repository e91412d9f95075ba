"""Alertmanager in, DingTalk out."""
