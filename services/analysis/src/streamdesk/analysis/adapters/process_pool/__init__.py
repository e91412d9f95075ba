"""The processes that compute the chunks of the daily job.

Nothing is imported here: a worker starts faster without the bus.
"""
