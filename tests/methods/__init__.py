"""Tests of stages and methods."""
