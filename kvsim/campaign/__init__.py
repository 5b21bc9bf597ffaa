"""Campaigns: scenarios × programs × seeds on many workers, into one SQLite file and one page.

Only `workers` and `worker_task` know Dask.
"""
