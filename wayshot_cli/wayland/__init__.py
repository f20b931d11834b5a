"""The wire: interface tables, proxies, and a connection that never waits without end."""
