"""The library that is loaded into nodes for faults of disks and clocks."""
