"""The four models a fresh server starts with, and the data one of them learns from."""
