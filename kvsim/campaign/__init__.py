"""Scenarios × programs × seeds over many workers, into one SQLite file and one page. Dask moves the work; nothing here does."""
