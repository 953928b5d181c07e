"""Hostile input for `benchmarks.fuzz`: good files, mutations of them, the code that reads them, and a watch over it."""
