"""What the commands do: files in, files and figures out."""
