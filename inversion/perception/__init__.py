"""Networks that judge pictures: perceptual distances, and the predictor of attributes and identity."""
