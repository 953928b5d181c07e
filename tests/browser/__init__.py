"""The page in Chromium, as a person uses it, on one server for all files of this folder."""
