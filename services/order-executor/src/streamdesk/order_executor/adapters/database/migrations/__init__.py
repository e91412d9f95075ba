"""The steps that made the tables: a folder for each table set, a file for each step.

A step only adds: during an upgrade executors of the version before still use the tables.
To add one, copy the newest of its folder, and change the tables' own description alike; a test
compares the two.
"""
