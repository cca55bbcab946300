"""A run of a live server: its job, its frames, what it learns from them, and what it stores."""
