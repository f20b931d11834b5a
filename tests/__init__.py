"""The tests: unit, against a fake compositor, with faults, and live on a real one."""
