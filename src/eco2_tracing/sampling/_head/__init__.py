"""Head sampling: decisions at the beginning of a trace."""
