"""The command against compositors that fail, lie, stall or hang up."""
