"""Tables like the papers' (`quality`) and ratios of speed (`speed`)."""
