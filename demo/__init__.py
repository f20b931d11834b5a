"""`make demo`: see wayshot at work, on a screen of its own if there is none."""
