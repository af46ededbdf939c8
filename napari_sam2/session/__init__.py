"""The model at work on arrays. Import the modules by name: this package imports nothing."""
