"""What several instrumentations share: the state, excluded paths, routes, attributes and headers."""
