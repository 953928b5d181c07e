"""What was run and typed before comes back: after a reload, by a link, from the list of runs, or from a file."""
