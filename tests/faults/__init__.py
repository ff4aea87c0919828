"""Parts of scripts/fault_injection.py."""
