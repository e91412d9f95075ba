"""How the tables came to be what they are: a folder for each table set, a file for each step.

A step only adds: during an upgrade executors of the version before go on working on the tables.
To add one, copy the newest of its folder, and change the tables' own description alike; a test
compares the two.
"""
