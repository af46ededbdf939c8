"""Checkpoints: found, downloaded, verified and loaded. Import the modules by name."""
