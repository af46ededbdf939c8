"""Training and evaluation: data in, weights out."""
