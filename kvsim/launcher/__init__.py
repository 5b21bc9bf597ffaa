"""Start, watch and stop the nodes of one cluster.

Knows processes, addresses and logs. Knows nothing of keys, roles at run time, or faults.
"""
