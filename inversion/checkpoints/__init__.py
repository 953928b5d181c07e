"""From a registered file to networks in memory: fetched, checked against its hash, converted once, and opened."""
