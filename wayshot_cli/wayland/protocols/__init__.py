"""A table per protocol. Names, signatures and order are the protocols' own."""
