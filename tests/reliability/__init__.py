"""What SECURITY.md promises, a test for each promise. Every test prints what it fed and what came of it (`-rP`)."""
