"""The rules: from bars to signals. No input or output, no clock, no bus.

`scoring` points for and against -> `signals` type, stops -> `scanner` all of it for all
instruments. `simulation`: a market to play with. What a good bar is says `streamdesk.market.bars`.
"""
