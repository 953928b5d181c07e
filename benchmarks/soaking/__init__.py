"""Parts of `benchmarks.soak`: a server of its own, its users, and servers that are killed."""
