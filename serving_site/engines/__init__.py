"""Django's database engines with their statements counted; PostgreSQL's refuses at once while it is taken for away."""
