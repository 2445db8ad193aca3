"""Who may ask, and how much at once: tokens, rates, places, and the clients that wait."""
