"""What all CPU targets share."""
