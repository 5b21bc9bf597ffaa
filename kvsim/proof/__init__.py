"""The written result of a run, and its verification without a cluster."""
