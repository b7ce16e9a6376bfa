"""What is known of every operator, once: definitions of Octet's own, and traits that passes derive their lists from."""
