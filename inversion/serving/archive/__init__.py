"""Runs on disk: what was asked, what came of it, and a list of both that survives the server."""
