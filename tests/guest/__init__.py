"""A guest with a render node, for tests of dmabuf on any machine: User-Mode Linux with vgem."""
