"""Kill the server under load and prove that nothing it accepted was lost.

`stage` makes a data folder with models whose answers name their version; `load` calls both doors and writes a client
`ledger` (fsync per line); `nemesis` kills and starts; `checker` compares ledger, rows and records by the `oracle`;
`report` writes it down; `campaign` is the order of these steps.
"""
