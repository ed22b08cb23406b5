"""The pages of the admin that draw what happens, from the records and from what each process says of itself.

`asked` reads the filters, `seen` gathers the figures, one module per page composes them into a `sheet`; `views` gives
it as a page and as JSON, which the page asks for again and again. No Grafana and no Prometheus is needed.
"""
