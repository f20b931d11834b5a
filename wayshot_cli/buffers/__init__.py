"""Memory that a compositor can write into."""
