"""Lanes in other processes: the same events and answers, computed where a crash or a leak cannot end the server."""
