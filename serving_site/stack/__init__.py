"""Private servers of the services mode on one machine: loopback only, free ports, data in a folder of their own.

`make stack` and the tests start them by this one code; nothing here touches a server the system runs.
"""
