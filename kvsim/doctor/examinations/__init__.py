"""One small file an examination: `examine(patient) -> Finding`. The table of them stands in kvsim/doctor/table.py."""
