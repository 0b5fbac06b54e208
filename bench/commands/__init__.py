"""What the command line shows, one file for each command that is more than a call."""
