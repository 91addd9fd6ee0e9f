"""Find, in the code of a Django project, the ways in which progress and statuses get lost.

Reads the code as text, by Python's `ast`: it imports nothing of it, and needs neither Django nor a
database.
"""
