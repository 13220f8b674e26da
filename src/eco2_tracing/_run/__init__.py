"""What `eco2-tracing run` adds to the processes of its command."""
