"""From a registered file to networks in memory: it is fetched, checked against its hash, converted once and opened."""
