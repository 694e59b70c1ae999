"""Code that both adapters share. Imports neither framework."""
