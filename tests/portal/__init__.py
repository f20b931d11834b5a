"""The portal: a session bus of the tests' own, and a portal on it that goes wrong on purpose."""
