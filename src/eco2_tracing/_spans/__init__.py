"""The span types of this library: server, client and manual spans."""
