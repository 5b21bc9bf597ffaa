"""Links between network namespaces: each node is a host, and faults are rules of a router."""
