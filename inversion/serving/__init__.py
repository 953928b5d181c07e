"""Runs requests of plain data on a device: the lane, the session in front of it, its jobs and the catalogue."""
