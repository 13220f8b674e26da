"""Code that several instrumentations share: state, excluded paths, routes, attributes and headers."""
