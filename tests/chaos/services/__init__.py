"""The checker on the services mode: real servers, several processes of ours, faults of each, seeded defects.

arena      private servers, started once; what runs in them gets a database, a virtual host and indices of its own
stage      tables, keys, models and a trigger-written history in PostgreSQL
scene      the processes of one run, each started through `launcher`, which may break one promise on purpose
faults     what happens to servers and processes
campaign   load, faults, drain, check
"""
