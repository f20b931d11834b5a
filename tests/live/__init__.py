"""The real command on a real compositor."""
