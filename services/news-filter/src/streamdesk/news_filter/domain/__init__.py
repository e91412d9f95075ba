"""The rules of the filter, cheapest first: an article passes all of them or is dropped by one.

age -> ticker -> blocked keywords -> blocked patterns -> keywords -> patterns -> sentiment

`verdict.judge` applies them. It has two steps: `screen` for the rules that need no sentiment,
`weigh` for the last one. Between the two, the sentiment of many articles is scored at once.
"""
