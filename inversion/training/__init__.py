"""Training of the networks and directions that the repository ships."""
