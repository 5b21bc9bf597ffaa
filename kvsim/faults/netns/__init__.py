"""Links that are cables between network namespaces: each node a machine of its own, the fault a rule in the router between them."""
