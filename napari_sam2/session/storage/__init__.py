"""Sessions as files. Import the modules by name: this package imports nothing."""
