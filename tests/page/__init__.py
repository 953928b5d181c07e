"""The page through its endpoints, on one server for all files of this folder."""
