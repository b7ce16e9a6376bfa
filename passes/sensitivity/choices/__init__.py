"""What is chosen by measured error: each choice tries a few designs and keeps the best that is worth its time."""
