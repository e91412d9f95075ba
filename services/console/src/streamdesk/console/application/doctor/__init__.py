"""Reads for the doctor: each module asks one kind of thing, in time, and decides nothing."""
