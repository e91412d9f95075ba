"""The rules: from bars to signals. No input or output, no clock, no bus.

`bars` what a good bar is -> `scoring` points for and against -> `signals` type, stops ->
`scanner` all of it for all instruments. `instruments` and `simulation`: a market to play with.
"""
