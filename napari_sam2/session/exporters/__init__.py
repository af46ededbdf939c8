"""One file for each format that labels are exported to. Nothing is imported here."""
