"""Trains what the repository ships: generator, discriminator and predictor of the embedded face domain."""
