"""Firing the slots of a timetable once over all replicas."""
