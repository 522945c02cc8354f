"""The command line, `crew-repo`: the promises of StateRepository, for terminals and scripts.

`start` is the entry point. `commands` is the group of commands, with the exit codes; `reading`, `comparing` and
`changes` have those that only read, `acting` and `resuming` those about a crew, `correcting` those that correct
answers, `upkeep` those that keep a state in order. A command returns an Answer, and `printing` prints it, as text or
as JSON.
"""
