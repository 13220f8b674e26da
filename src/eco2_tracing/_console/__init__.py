"""What people read in a terminal: traces as waterfalls, and log lines as text."""
