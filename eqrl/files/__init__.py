"""Files that appear whole or not at all, and files of strangers that are read without running anything in them."""
