"""How one participant reaches another: addresses, routes, proxies, network namespaces."""
