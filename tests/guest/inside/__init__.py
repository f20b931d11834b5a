"""Tests that run in the guest, one by one, when pytest runs them on the host."""
