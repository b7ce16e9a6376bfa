"""What holds of every file that others made: that it is a file, and no larger than was allowed."""
