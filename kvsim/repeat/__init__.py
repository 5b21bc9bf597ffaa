"""One scenario many times: how often it holds, where it first goes wrong, and whether the store or the machine is to blame."""
